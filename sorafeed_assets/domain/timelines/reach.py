"""How far plans reach, so that plays need not plan."""

from typing import Final

# Ends are looked for once a second. A display that plays its window in less than that, as after an
# outage, has the time that planning takes too.
LEAST_WINDOWS: Final = 5
"""A plan with fewer windows ahead is about to end."""

# Of short loops several are planned at once: that costs little more than one.
REACH_WINDOWS: Final = 12
"""How many windows ahead a plan that is about to end is continued."""


def picks_left(last_loop: int, picks: int, loop: int, position: int) -> int:
    """How many picks a plan has from a place on, if all its loops are as long as its last one."""
    return (last_loop - loop + 1) * picks - position
