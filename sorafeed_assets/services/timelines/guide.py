"""The guide of a display: clock times of its plan, over the switches of its timetable."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import Engine

from sorafeed_assets.domain.timelines.guide import (
    GuideEntry,
    GuidePick,
    PlaylistSpan,
    build_guide,
    mean_duration,
)
from sorafeed_assets.services.playlists.timetables import TimetableView, spans_of, timetable_of
from sorafeed_assets.services.timelines.views import timeline_view
from sorafeed_assets.storage.timelines.durations import (
    began_at,
    load_durations,
    recent_durations,
    tell_durations,
)

_RECENT: Final = 1_000


@dataclass(frozen=True, slots=True)
class Guide:
    """What a display plays when.

    Attributes:
        estimate: the duration of a video that is not known.
        known: how many of the planned videos have a known duration.
    """

    display_id: str
    now: datetime
    entries: tuple[GuideEntry, ...]
    playlists: Mapping[UUID, str]
    estimate: timedelta
    known: int
    planned: int


def guide_of(engine: Engine, display_id: str, length: timedelta) -> Guide:
    """What a display plays from now, for ``length``.

    Raises:
        NotFoundError: there is no such display.
    """
    view = timeline_view(engine, display_id)
    timetable = timetable_of(engine, display_id)
    picks = [GuidePick(p.loop, p.position, p.video_id, p.search_term) for p in view.ahead]
    with engine.connect() as connection:
        durations = load_durations(connection, {pick.video_id for pick in picks})
        recent = [] if durations else recent_durations(connection, _RECENT)
        began = began_at(connection, display_id) if view.now else None
    estimate = mean_duration(list(durations.values()), recent)
    spans = _spans(timetable, view.playlist_id, timetable.now + length)
    entries = build_guide(picks, spans, durations, estimate, began)
    known = sum(pick.video_id in durations for pick in picks)
    return Guide(
        display_id,
        timetable.now,
        tuple(entries),
        timetable.playlists,
        estimate,
        known,
        len(picks),
    )


def _spans(view: TimetableView, playing: UUID | None, end: datetime) -> list[PlaylistSpan]:
    """Which playlist is active until ``end``; the current one is until the next switch."""
    now = view.now
    if playing is None:
        return []
    decision = view.decision
    if decision is None:
        return [PlaylistSpan(now, end, playing)]
    switch = decision.next_switch
    until = end if switch is None else min(switch, end)
    found = [PlaylistSpan(now, until, playing)]
    for span in spans_of(view, until, end) if until < end else ():
        playlist_id = span.slot.playlist_id if span.slot else decision.base_id
        last = found[-1]
        if last.playlist_id == playlist_id and last is not found[0]:
            found[-1] = PlaylistSpan(last.start, span.end, playlist_id)
        else:
            found.append(PlaylistSpan(span.start, span.end, playlist_id))
    return found


def note_durations(engine: Engine, told: Mapping[UUID, tuple[str, int]]) -> Collection[str]:
    """Store how long videos are, as players report it; returns the displays that told news."""
    if not told:
        return ()
    with engine.begin() as connection:
        return tell_durations(connection, told)
