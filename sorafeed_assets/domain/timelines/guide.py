"""The guide of a display: which video plays when, by the durations that are known.

A plan says in which order videos play, and players say how long they are. Times of videos whose
unknown duration are estimated by the mean of the display's other videos. After the next
switch of the timetable, and after the end of the plan, only the playlist is known: which videos it
plays is planned then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

DEFAULT_DURATION: Final = timedelta(seconds=10)
"""The estimate as long as no duration is known at all."""
MOST_ENTRIES: Final = 5_000


@dataclass(frozen=True, slots=True)
class GuidePick:
    """A position of a plan that is still to be played, or plays."""

    loop: int
    position: int
    video_id: str
    search: str


@dataclass(frozen=True, slots=True)
class PlaylistSpan:
    """A time in which one playlist is active, in UTC."""

    start: datetime
    end: datetime
    playlist_id: UUID


@dataclass(frozen=True, slots=True)
class GuideEntry:
    """A video, or a playlist whose videos are not planned yet (``pick`` is None).

    ``is_estimated`` says that its duration is an estimate, or that of a video before it is.
    """

    start: datetime
    end: datetime
    playlist_id: UUID
    pick: GuidePick | None
    is_estimated: bool


def mean_duration(known: Sequence[int], recent: Sequence[int]) -> timedelta:
    """The estimate for a display: the mean of its own videos, else of those reported last.

    Both are in milliseconds.
    """
    durations = known or recent
    if not durations:
        return DEFAULT_DURATION
    return timedelta(milliseconds=round(sum(durations) / len(durations)))


def build_guide(
    picks: Sequence[GuidePick],
    spans: Sequence[PlaylistSpan],
    durations: Mapping[str, int],
    estimate: timedelta,
    began: datetime | None,
) -> list[GuideEntry]:
    """The entries of a guide, each beginning when the one before ends.

    Args:
        picks: the plan of the playlist of the first span, from the video on screen.
        spans: which playlist is active when, without gaps; the first one is current.
        durations: known durations in milliseconds, by video.
        estimate: the duration of any other video.
        began: when the video on screen began; None when none is on screen.
    """
    entries: list[GuideEntry] = []
    if not spans:
        return entries
    first = spans[0]
    at, is_estimated = first.start, False
    for number, pick in enumerate(picks[:MOST_ENTRIES]):
        if at >= first.end:
            break
        told = durations.get(pick.video_id)
        length = estimate if told is None else timedelta(milliseconds=told)
        is_estimated |= told is None
        start = began if number == 0 and began is not None else at
        # One that should have ended goes on for the moment.
        end = max(start + length, at + timedelta(seconds=1))
        # A switch does not interrupt the video on screen.
        entries.append(GuideEntry(start, end, first.playlist_id, pick, is_estimated))
        at = end
    if at < first.end:
        entries.append(GuideEntry(at, first.end, first.playlist_id, None, is_estimated))
    for span in spans[1:]:
        start = max(span.start, at)
        if start < span.end:
            entries.append(GuideEntry(start, span.end, span.playlist_id, None, is_estimated=True))
    return entries
