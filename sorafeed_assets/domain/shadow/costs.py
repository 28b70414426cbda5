"""Time and statements of both sides: before and after."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

AT_ONCE: Final = 2
"""How many counts the old admin page runs at a time."""


class Cost(NamedTuple):
    """What one side took: seconds, of which in the database, and statements."""

    seconds: float
    statements: int


@dataclass(frozen=True, slots=True)
class BeforeAfter:
    """The figures of one kind of work, in seconds, and how many times faster its median is."""

    comparisons: int
    before_median: float
    before_p95: float
    after_median: float
    after_p95: float

    @property
    def ratio(self) -> float:
        """Before by after, of the medians."""
        return self.before_median / self.after_median if self.after_median else math.inf


def before_after(pairs: Sequence[tuple[float, float]]) -> BeforeAfter | None:
    """The figures of (before, after) pairs; None without any."""
    if not pairs:
        return None
    before, after = sorted(one for one, _ in pairs), sorted(other for _, other in pairs)
    return BeforeAfter(
        len(pairs), _at(before, 0.5), _at(before, 0.95), _at(after, 0.5), _at(after, 0.95)
    )


def _at(ordered: Sequence[float], share: float) -> float:
    """The smallest value that at least a share of the values does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def page_seconds(counts: Sequence[float]) -> float:
    """How long the old admin page waits for its counts, `AT_ONCE` at a time, in their order."""
    lanes = [0.0] * AT_ONCE
    for seconds in counts:
        first = lanes.index(min(lanes))
        lanes[first] += seconds
    return max(lanes)
