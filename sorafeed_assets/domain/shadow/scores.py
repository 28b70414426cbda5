"""How the old system scores on the whole wall: its plans, its real queues and its real plays."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class WallScores:
    """Sums over displays, of their last comparisons.

    Attributes:
        plans: displays whose plans were compared.
        broken: those of which an old plan breaks a rule of the plan audit.
        rows: how many rows wait in the old queues.
        belong: how many the active playlists ask for.
        plays: scored plays.
        repeats: those of a video that was played before on the same day.
    """

    plans: int = 0
    broken: int = 0
    rows: int = 0
    belong: int = 0
    plays: int = 0
    repeats: int = 0

    @property
    def repeats_per_hundred(self) -> float:
        """Repeats in a hundred plays."""
        return 100 * self.repeats / self.plays if self.plays else 0.0


def score_wall(
    timelines: Iterable[Mapping[str, Any]],
    queues: Iterable[Mapping[str, Any]],
    plays: Iterable[Mapping[str, Any]],
) -> WallScores:
    """Sum the figures of the displays' comparisons; those without figures were not compared."""
    audits = [each["audit"] for each in timelines if "audit" in each]
    held = [each for each in queues if "rows" in each]
    scored = [each for each in plays if "scored" in each]
    return WallScores(
        len(audits),
        sum(any(audit) for audit in audits),
        sum(each["rows"] for each in held),
        sum(each["belong"] for each in held),
        sum(each["scored"] for each in scored),
        sum(each["scored"] - each["videos"] for each in scored),
    )
