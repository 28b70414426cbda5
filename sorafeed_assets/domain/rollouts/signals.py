"""What is compared between the displays in a share and those out of it.

What is known of the server as a whole only is compared by the minute: since the step began, and in
the hour before the rollout.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple


class Signal(StrEnum):
    """Something that may go wrong on a display; `GATES` says what is counted."""

    SKIPPED = "skipped"
    FAILED = "failed"
    DRY_BLOCKS = "dry_blocks"
    PLAN_PROBLEMS = "plan_problems"
    REPEATS = "repeats"
    API_ERRORS = "api_errors"
    SLOW = "slow"
    LATE_ON_SCREEN = "late_on_screen"
    SERVER_ERRORS = "server_errors"


@dataclass(frozen=True, slots=True)
class Gate:
    """How a signal decides.

    Attributes:
        trials: what is counted; `events` of them went wrong.
        events: what went wrong.
        least: how many trials each side must have before the signal says anything.
        holds: whether a step waits until there are so many.
        samples: what each sample is of.
        inside: which samples the rollout's value may have changed.
        outside: which ones it cannot have changed.
    """

    trials: str
    events: str
    least: int
    holds: bool = True
    samples: str = "displays"
    inside: str = "in the share"
    outside: str = "outside"


GATES: Final[Mapping[Signal, Gate]] = {
    Signal.SKIPPED: Gate("plays", "skipped ones", 100),
    Signal.FAILED: Gate("plays", "ones that the player could not show", 100),
    Signal.REPEATS: Gate("plays", "videos that were among the display's last 100", 100),
    Signal.DRY_BLOCKS: Gate("blocks of planned displays", "ones that no post matches", 3),
    Signal.PLAN_PROBLEMS: Gate("displays with a playlist", "ones that could not be planned", 3),
    # On a quiet wall nothing is called or changed, which is no reason to wait.
    Signal.API_ERRORS: Gate("requests of players", "ones that failed at the server", 100, False),
    Signal.SLOW: Gate("changes", "ones whose queue took more than 2 s", 20, False),
    Signal.LATE_ON_SCREEN: Gate(
        "changes", "ones after which the player took more than 30 s to start a video", 20, False
    ),
    Signal.SERVER_ERRORS: Gate(
        "requests of the API",
        "ones that failed at the server",
        100,
        samples="minutes",
        inside="since the step began",
        outside="before the rollout",
    ),
}
"""The gate of each signal."""

OF_DISPLAYS: Final = frozenset(Signal) - {Signal.SERVER_ERRORS}
"""The signals that are known of each display."""


class Sample(NamedTuple):
    """A signal of one display since the step began, or of one minute.

    ``events`` of ``trials`` went wrong; ``usual`` is the part that went wrong on the display before
    the rollout.
    """

    events: int
    trials: int
    usual: float = 0.0


@dataclass(frozen=True, slots=True)
class Samples:
    """A signal of the displays in the share and of those out of it; a display is a sample.

    ``missing`` says why the signal could not be read: nothing is known then.
    """

    inside: Sequence[Sample]
    outside: Sequence[Sample]
    missing: str | None = None
