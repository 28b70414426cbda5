"""The timetable of a display: which playlist is active at an instant, and until when.

In a time slot its playlist is active, otherwise the base playlist. Of slots that overlap the one of
higher priority wins, then the one that began later, then the one that was added later. The base
playlist is one without time slots, if there is any: the one chosen last, by hand or by being new.

A playlist that is activated by hand, or is new, during a slot is *held*: it stays active until the
timetable's next switch.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Final, NamedTuple
from uuid import UUID

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.playlists.playlist import Playlist, choose_active
from sorafeed_assets.domain.playlists.time_slots import SlotDraft, TimeSlot, Weekday
from sorafeed_assets.domain.playlists.time_zones import instant_of, load_zone

LOOK_AHEAD: Final = timedelta(days=8)
"""How far the next switch is searched for: a week, and a day for zones and clock changes."""
_DAY: Final = timedelta(days=1)


class ChosenBy(StrEnum):
    """Why a playlist is the active one."""

    SLOT = "time slot"
    BASE = "base"
    HAND = "by hand"


class Span(NamedTuple):
    """From ``start`` until ``end``, in UTC, this slot decides; the base playlist when None."""

    start: datetime
    end: datetime
    slot: TimeSlot | None


@dataclass(frozen=True, slots=True)
class Timetable:
    """The time slots of a display's playlists, and what was chosen outside of them.

    Attributes:
        base_id: the base playlist when it was last decided.
        held_since: when the active playlist was activated by hand during a slot.
    """

    slots: tuple[TimeSlot, ...] = ()
    base_id: UUID | None = None
    held_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Which playlist is active, which is the base, and when that changes next, if ever.

    ``next_switch`` is None when nothing changes within `LOOK_AHEAD`.
    """

    active_id: UUID
    base_id: UUID
    held_since: datetime | None
    next_switch: datetime | None
    chosen_by: ChosenBy


def usable(slots: Collection[TimeSlot]) -> tuple[list[TimeSlot], list[TimeSlot]]:
    """The slots whose time zone is known, and the others, which plain SQL can store."""
    good: list[TimeSlot] = []
    bad: list[TimeSlot] = []
    for slot in slots:
        try:
            load_zone(slot.draft.time_zone)
        except InvalidInputError:
            bad.append(slot)
        else:
            good.append(slot)
    return good, bad


def occurrences(
    slot: SlotDraft, start: datetime, end: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """When the slot begins and ends, in UTC, for each time that it meets ``start`` to ``end``."""
    zone = load_zone(slot.time_zone)
    # A slot lasts a day at most, and a clock may be put back over midnight.
    day = start.astimezone(zone).date() - 2 * _DAY
    last = end.astimezone(zone).date() + _DAY
    while day <= last:
        if _is_day_of(slot, day):
            begins = instant_of(datetime.combine(day, slot.starts), zone)
            until = day if slot.ends > slot.starts else day + _DAY
            ends = instant_of(datetime.combine(until, slot.ends), zone)
            if begins < ends and begins < end and ends > start:
                yield begins, ends
        day += _DAY


def _is_day_of(slot: SlotDraft, day: date) -> bool:
    return (
        Weekday(day.isoweekday()) in slot.days
        and (slot.first_day is None or slot.first_day <= day)
        and (slot.last_day is None or day <= slot.last_day)
    )


def spans(slots: Collection[TimeSlot], start: datetime, end: datetime) -> Iterator[Span]:
    """Which slot decides from ``start`` to ``end``; spans that follow each other differ in slot."""
    known, _ = usable(slots)
    runs = [
        (begins, ends, slot)
        for slot in known
        for begins, ends in occurrences(slot.draft, start, end)
    ]
    edges = {at for begins, ends, _ in runs for at in (begins, ends) if start < at < end}
    moments = [start.astimezone(UTC), *sorted(edges), end.astimezone(UTC)]
    current = Span(moments[0], moments[0], None)
    for at, until in pairwise(moments):
        covering = [
            (slot.draft.priority, begins, slot.created_at, str(slot.id), slot)
            for begins, ends, slot in runs
            if begins <= at < ends
        ]
        slot = max(covering, key=lambda run: run[:4])[4] if covering else None
        if slot is current.slot:
            current = current._replace(end=until)
        else:
            if current.start < current.end:
                yield current
            current = Span(at, until, slot)
    if current.start < current.end:
        yield current


def slot_at(slots: Collection[TimeSlot], at: datetime) -> TimeSlot | None:
    """The slot that decides at this instant; None when the base playlist is active."""
    return next(spans(slots, at, at + timedelta(seconds=1))).slot


def next_switch(slots: Collection[TimeSlot], base_id: UUID, after: datetime) -> datetime | None:
    """The first instant after ``after`` at which another playlist becomes active.

    None when there is none within `LOOK_AHEAD`.
    """
    playing: UUID | None = None
    for span in spans(slots, after, after + LOOK_AHEAD):
        playlist_id = span.slot.playlist_id if span.slot else base_id
        if playing is None:
            playing = playlist_id
        elif playlist_id != playing:
            return span.start
    return None


def base_of(playlists: Sequence[Playlist], timetable: Timetable) -> Playlist:
    """The base playlist among these, of which there is at least one."""
    ordered = sorted(playlists, key=lambda p: (p.created_at, p.id))
    timed = {slot.playlist_id for slot in timetable.slots}
    able = [p for p in ordered if p.id not in timed] or ordered
    if able[-1].is_new:
        return able[-1]
    stored = next((p for p in able if p.id == timetable.base_id), None)
    return stored or choose_active(able) or able[-1]


def decide(playlists: Sequence[Playlist], timetable: Timetable, now: datetime) -> Decision | None:
    """Which playlist of a display with time slots is active at ``now``; None without playlists."""
    if not playlists:
        return None
    base = base_of(playlists, timetable)
    slot = slot_at(timetable.slots, now)
    by_clock = slot.playlist_id if slot else base.id
    held_since = timetable.held_since
    active = next((p for p in playlists if p.is_active), None)
    held = active if held_since else None
    if base.is_new and active is not None and by_clock != base.id:
        held, held_since = base, now
    if held is not None and held_since is not None and held.id != by_clock:
        switch = next_switch(timetable.slots, base.id, held_since)
        if switch is None or switch > now:
            return Decision(held.id, base.id, held_since, switch, ChosenBy.HAND)
    switch = next_switch(timetable.slots, base.id, now)
    return Decision(by_clock, base.id, None, switch, ChosenBy.SLOT if slot else ChosenBy.BASE)


def choose_by_hand(
    playlists: Sequence[Playlist], timetable: Timetable, playlist_id: UUID, now: datetime
) -> Timetable:
    """The timetable after a playlist was activated by hand at ``now``.

    Outside the slots a playlist without slots becomes the base; any other is held.
    """
    is_timed = any(slot.playlist_id == playlist_id for slot in timetable.slots)
    if slot_at(timetable.slots, now) is None and not is_timed:
        return replace(timetable, base_id=playlist_id, held_since=None)
    base = base_of(playlists, timetable)
    return replace(timetable, base_id=base.id, held_since=now)
