"""Where a display goes on when it is sent to the video before, or to a chosen one.

A jump decides only where a display stands and which picks its loop keeps; a planner fills the rest
of the loop as always.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, NamedTuple
from uuid import UUID

from sorafeed_assets.domain.timelines.plan import Pick, Start, Tier

MOST_BACK: Final = 5
"""How many videos of the loops before a display can go back to."""


class Shown(NamedTuple):
    """A video that a display has shown, and its block."""

    video_id: str
    block_id: UUID


def jump_back(
    loop: int, picks: Sequence[Pick], position: int, shown: int, earlier: Sequence[Shown]
) -> Start | None:
    """Stand at the pick before; None when there is none.

    The picks that were shown stay, so that they follow again in their order, and the loop goes on
    where it was. Before its first pick come the videos that were shown before the loop.

    Args:
        loop: the current loop.
        picks: its plan.
        position: of the head.
        shown: how many of the picks have been on screen, at least ``position``.
        earlier: what was shown before the loop, the latest last.
    """
    if position:
        return Start(loop, position - 1, tuple(picks[: max(shown, position)]))
    if not earlier or (picks and picks[0].tier is Tier.KEPT):
        return None
    again = [
        Pick(place, video.block_id, 0, video.video_id, Tier.KEPT)
        for place, video in enumerate(earlier)
    ]
    return Start(loop, len(again) - 1, (*again, *_moved(picks[:shown], len(again))))


def jump_to(loop: int, picks: Sequence[Pick], place: int, shown: int, chosen: Pick) -> Start:
    """Stand at a chosen video, which comes in at ``place``; what was planned there comes after it.

    Its block is filled as if it had not been chosen, by videos that the loop does not have yet. To
    one that was shown after ``place``, before a step back, the display goes forward.

    Args:
        loop: the current loop.
        picks: its plan.
        place: of the first pick that does not count as shown now.
        shown: how many of the picks have been on screen.
        chosen: the video and its block.
    """
    for pick in picks[place:shown]:
        if pick.post_id == chosen.post_id:
            return Start(loop, pick.position, tuple(picks[:shown]))
    added = replace(chosen, position=place, tier=Tier.KEPT)
    return Start(loop, place, (*picks[:place], added, *_moved(picks[place:shown], 1)))


def _moved(picks: Sequence[Pick], places: int) -> list[Pick]:
    return [replace(pick, position=pick.position + places) for pick in picks]
