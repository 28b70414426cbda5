"""Judging what the old system really holds and did: its active playlists, queues and plays."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from sorafeed_assets.domain.shadow.outcome import Reason, Rule


class QueuedRow(NamedTuple):
    """A row that waits in an old queue; fields that the file does not have are None."""

    position: int
    loop: int
    video_id: str
    block_id: UUID | None


@dataclass(frozen=True, slots=True)
class QueueScore:
    """How an old queue looks.

    Attributes:
        rows: how many rows wait.
        belong: how many its active playlist asks for.
        copies: how often the most frequent position is there.
        repeats: how many rows have a video that an earlier row has.
    """

    rows: int
    belong: int
    copies: int
    repeats: int


def score_queue(rows: Sequence[QueuedRow], belong: int) -> QueueScore:
    """Score a queue."""
    places = Counter((row.loop, row.position) for row in rows)
    videos = {row.video_id for row in rows}
    return QueueScore(len(rows), belong, max(places.values(), default=0), len(rows) - len(videos))


def queue_reasons(score: QueueScore) -> list[Reason]:
    """What is wrong with an old queue; all of it is the old system's own."""
    if score.copies > 1 or score.rows > score.belong:
        text = (
            f"{score.rows} rows wait where {score.belong} belong; one position is there"
            f" {score.copies} times"
        )
        return [Reason(Rule.QUEUE_HELD_TWICE, text)]
    if score.repeats:
        return [Reason(Rule.AVOIDABLE_REPEATS, f"{score.repeats} rows repeat a video")]
    return []


def activation_reason(old: str | None, ours: str | None, *, changed: bool) -> Reason | None:
    """Why the active playlists differ: ids, or None without one.

    ``changed`` is whether a person chose another one on either side since the import.
    """
    if old == ours:
        return None
    text = f"{ours or 'none'} is active here, {old or 'none'} there"
    if old is None and not changed:
        return Reason(Rule.NOT_ACTIVATED, text)
    return Reason(None, text)


@dataclass(frozen=True, slots=True)
class PlaysScore:
    """The plays of a display in a time: how many, of how many videos, of how many that match."""

    plays: int
    videos: int
    matching: int | None

    @property
    def repeats_per_hundred(self) -> float:
        """Plays of a video that was played before in this time, of a hundred."""
        return 100 * (self.plays - self.videos) / self.plays if self.plays else 0.0


def plays_reasons(score: PlaysScore, missing: int, gone: int) -> list[Reason]:
    """What the plays of a display show: avoidable repeats, and plays that one side lacks.

    Args:
        score: the plays there.
        missing: how many plays there were not imported, although the import has seen them.
        gone: how many imported plays are no longer there.
    """
    reasons = []
    repeats = score.plays - score.videos
    if repeats and score.matching is not None and score.matching > score.videos:
        text = f"{repeats} of {score.plays} plays are repeats, though {score.matching:,} match"
        reasons.append(Reason(Rule.AVOIDABLE_REPEATS, text))
    if gone:
        reasons.append(Reason(Rule.HISTORY_DELETED, f"{gone} plays are no longer there"))
    if missing:
        reasons.append(Reason(None, f"{missing} plays there are missing here"))
    return reasons
