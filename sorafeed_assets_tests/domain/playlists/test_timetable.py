"""Timetables, compared with looking at every minute; holds and bases."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sorafeed_assets.domain.playlists.playlist import Playlist
from sorafeed_assets.domain.playlists.time_slots import (
    EVERY_DAY,
    SlotDraft,
    TimeSlot,
    Weekday,
    shown_slot,
)
from sorafeed_assets.domain.playlists.time_zones import load_zone, zone_names
from sorafeed_assets.domain.playlists.timetable import (
    ChosenBy,
    Timetable,
    choose_by_hand,
    decide,
    next_switch,
    slot_at,
    spans,
    usable,
)

_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
_NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)  # a Wednesday
_BASE, _DAYTIME, _LUNCH = (UUID(int=n) for n in range(1, 4))

_MINUTES = st.integers(0, 24 * 60 - 1).map(lambda n: time(n // 60, n % 60))
# Changes of clocks happen at night, so that many times are near them.
_TIMES = st.one_of(_MINUTES, st.sampled_from([time(h, m) for h in range(5) for m in (0, 30)]))
_ZONES = st.one_of(
    st.sampled_from(sorted(zone_names())),
    st.sampled_from(["Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"]),
)
# Around changes of clocks, and the day that Apia skipped.
_STARTS = st.one_of(
    st.sampled_from([datetime(2026, 3, 8), datetime(2026, 3, 28), datetime(2026, 10, 24),  # noqa: DTZ001
                     datetime(2026, 4, 4), datetime(2011, 12, 29)]),  # noqa: DTZ001
    st.datetimes(datetime(2000, 1, 1), datetime(2037, 1, 1)),  # noqa: DTZ001
).map(lambda at: at.replace(second=0, microsecond=0, tzinfo=UTC))  # fmt: skip


@st.composite
def _drafts(draw: st.DrawFn, zone: str, around: date) -> SlotDraft:
    first = draw(st.none() | st.integers(-3, 3).map(lambda n: around + n * _DAY))
    last = draw(st.none() | st.integers(0, 4).map(lambda n: (first or around) + n * _DAY))
    days = draw(st.just(EVERY_DAY) | st.frozensets(st.sampled_from(Weekday), min_size=1))
    priority = draw(st.integers(0, 2))
    return SlotDraft(days, draw(_TIMES), draw(_TIMES), zone, first, last, priority)


@st.composite
def _cases(draw: st.DrawFn) -> tuple[datetime, list[TimeSlot]]:
    start = draw(_STARTS)
    zones = draw(st.lists(_ZONES, min_size=1, max_size=2))
    drafts = draw(
        st.lists(
            st.sampled_from(zones).flatmap(lambda zone: _drafts(zone, start.date())), max_size=4
        )
    )
    return start, [
        TimeSlot(UUID(int=100 + n), UUID(int=10 + n), _NOON, each) for n, each in enumerate(drafts)
    ]


class _Minutes:
    """The latest time that a zone's clock has shown, for every minute."""

    def __init__(self, name: str, start: datetime, minutes: int) -> None:
        self._shown: list[datetime] = []
        zone = load_zone(name)
        for n in range(minutes):
            wall = (start + n * _MINUTE).astimezone(zone).replace(tzinfo=None, fold=0)
            self._shown.append(max(wall, self._shown[-1]) if n else wall)

    def first(self, wall: datetime) -> int:
        """The first minute at which the clock shows ``wall`` or later."""
        return bisect_left(self._shown, wall)


def _by_minutes(slots: Sequence[TimeSlot], start: datetime, minutes: int) -> list[TimeSlot | None]:
    """The slot that decides in each minute, found by looking at the clocks of all minutes."""
    before = 3 * 24 * 60
    best: list[tuple[int, int, int, TimeSlot] | None] = [None] * (before + minutes)
    clocks = {
        zone: _Minutes(zone, start - before * _MINUTE, before + minutes)
        for zone in {slot.draft.time_zone for slot in slots}
    }
    for order, slot in enumerate(slots):
        draft, clock = slot.draft, clocks[slot.draft.time_zone]
        for n in range(-4, minutes // (24 * 60) + 4):
            day = start.date() + n * _DAY
            in_range = (draft.first_day or day) <= day <= (draft.last_day or day)
            if day.isoweekday() not in draft.days or not in_range:
                continue
            until = day if draft.ends > draft.starts else day + _DAY
            begins = clock.first(datetime.combine(day, draft.starts))
            for minute in range(begins, clock.first(datetime.combine(until, draft.ends))):
                if begins == 0:  # it began before the first minute looked at
                    break
                held = best[minute]
                mine = (draft.priority, begins, order, slot)
                if held is None or mine[:3] > held[:3]:
                    best[minute] = mine
    return [each and each[3] for each in best[before:]]


@given(_cases())
@settings(max_examples=60, deadline=None)
def test_spans_are_as_when_each_minute_is_looked_at(case: tuple[datetime, list[TimeSlot]]) -> None:
    start, slots = case
    minutes = 3 * 24 * 60
    found = list(spans(slots, start, start + minutes * _MINUTE))
    assert [span.end for span in found[:-1]] == [span.start for span in found[1:]]
    by_span: list[TimeSlot | None] = []
    for span in found:
        by_span += [span.slot] * ((span.end - span.start) // _MINUTE)
    assert by_span == _by_minutes(slots, start, minutes)
    assert slot_at(slots, start) is by_span[0]
    played = [slot.playlist_id if slot else _BASE for slot in by_span]
    switch = next((n for n in range(minutes) if played[n] != played[0]), None)
    expected = None if switch is None else start + switch * _MINUTE
    actual = next_switch(slots, _BASE, start)
    if expected is None:  # it is later, if there is one
        assert actual is None or actual >= start + minutes * _MINUTE
    else:
        assert actual == expected


def _slot(playlist_id: UUID, starts: str, ends: str, **changes: object) -> TimeSlot:
    draft = SlotDraft(EVERY_DAY, time.fromisoformat(starts), time.fromisoformat(ends), "UTC")
    number = playlist_id.int * 100 + draft.starts.hour
    return TimeSlot(UUID(int=number), playlist_id, _NOON, replace(draft, **changes))  # type: ignore[arg-type]


def _playlist(playlist_id: UUID, *, active: bool = False, new: bool = False) -> Playlist:
    created = datetime(2026, 1, playlist_id.int, tzinfo=UTC)
    return Playlist(playlist_id, "AAAAAA", "x", created, active, new, ())


_ALL = [_playlist(_BASE, active=True), _playlist(_DAYTIME), _playlist(_LUNCH)]
_SLOTS = (_slot(_DAYTIME, "09:00", "18:00"), _slot(_LUNCH, "11:30", "13:00"))


def test_the_later_begun_of_equal_priority_wins_and_the_base_comes_after() -> None:
    noon = decide(_ALL, Timetable(_SLOTS), _NOON)
    assert noon is not None
    assert (noon.active_id, noon.base_id, noon.chosen_by) == (_LUNCH, _BASE, ChosenBy.SLOT)
    assert noon.next_switch == _NOON + _HOUR
    evening = decide(_ALL, Timetable(_SLOTS), _NOON + 6 * _HOUR)
    assert evening is not None
    assert (evening.active_id, evening.chosen_by) == (_BASE, ChosenBy.BASE)
    assert evening.next_switch == _NOON + 21 * _HOUR
    first = (_slot(_DAYTIME, "09:00", "18:00", priority=1), _SLOTS[1])
    assert slot_at(first, _NOON) is first[0]


def test_a_slot_over_midnight_belongs_to_the_day_on_which_it_begins() -> None:
    night = _slot(_DAYTIME, "22:00", "04:00", days=frozenset({Weekday.FRIDAY}))
    friday = datetime(2026, 7, 3, tzinfo=UTC)
    on = [hour for hour in range(48) if slot_at([night], friday + hour * _HOUR)]
    assert on == [22, 23, 24, 25, 26, 27]


def test_what_is_activated_by_hand_in_a_slot_stays_until_the_next_switch() -> None:
    held = choose_by_hand(_ALL, Timetable(_SLOTS, _BASE), _BASE, _NOON)
    assert (held.base_id, held.held_since) == (_BASE, _NOON)
    for minutes, active, by in (
        (1, _BASE, ChosenBy.HAND),
        (59, _BASE, ChosenBy.HAND),
        (60, _DAYTIME, ChosenBy.SLOT),
    ):
        found = decide(_ALL, held, _NOON + minutes * _MINUTE)
        assert found is not None
        assert (found.active_id, found.chosen_by) == (active, by)
        assert (found.held_since is None) == (by is not ChosenBy.HAND)


def test_what_is_activated_by_hand_outside_slots_is_the_base_unless_it_has_slots() -> None:
    evening = _NOON + 8 * _HOUR
    other = _playlist(UUID(int=4))
    chosen = choose_by_hand([*_ALL, other], Timetable(_SLOTS, _BASE), other.id, evening)
    assert (chosen.base_id, chosen.held_since) == (other.id, None)
    held = choose_by_hand(_ALL, Timetable(_SLOTS, _BASE), _LUNCH, evening)
    assert (held.base_id, held.held_since) == (_BASE, evening)


def test_a_new_playlist_is_active_at_once_and_is_the_base() -> None:
    new = _playlist(UUID(int=5), new=True)
    found = decide([*_ALL, new], Timetable(_SLOTS, _BASE), _NOON)
    assert found is not None
    assert (found.active_id, found.base_id, found.chosen_by) == (new.id, new.id, ChosenBy.HAND)
    assert (found.held_since, found.next_switch) == (_NOON, _NOON + _HOUR)


def test_a_new_playlist_with_slots_is_active_in_them_only() -> None:
    new = _playlist(_LUNCH, new=True)
    found = decide([_ALL[0], _ALL[1], new], Timetable(_SLOTS, _BASE), _NOON + 8 * _HOUR)
    assert found is not None
    assert (found.active_id, found.base_id) == (_BASE, _BASE)


@pytest.mark.parametrize("stored", [None, UUID(int=99), _DAYTIME])
def test_a_base_that_is_gone_or_has_slots_now_is_replaced(stored: UUID | None) -> None:
    found = decide(_ALL, Timetable(_SLOTS, stored), _NOON)
    assert found is not None
    assert found.base_id == _BASE
    assert decide([], Timetable(_SLOTS), _NOON) is None


def test_a_slot_of_an_unknown_zone_is_left_out() -> None:
    bad = _slot(_LUNCH, "00:00", "00:00", time_zone="Mars/Olympus", priority=9)
    assert usable([bad, *_SLOTS]) == (list(_SLOTS), [bad])
    assert slot_at([bad, *_SLOTS], _NOON) is _SLOTS[1]


def test_a_slot_is_shown_in_one_line() -> None:
    days = frozenset({Weekday.MONDAY, Weekday.TUESDAY, Weekday.WEDNESDAY, Weekday.SATURDAY})
    slot = _slot(_LUNCH, "09:00", "00:00", days=days, last_day=date(2026, 12, 24)).draft
    assert shown_slot(slot) == "Mon-Wed, Sat 09:00-00:00 (UTC), until 2026-12-24"
    assert shown_slot(replace(slot, starts=time(), last_day=None)).endswith("all day (UTC)")
