"""Time slots as files: what is exported is imported as equal slots, and errors name their place."""

import json
from datetime import date, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.playlists.slot_files import (
    parse_slots,
    parse_slots_csv,
    parse_slots_json,
    slots_csv,
    slots_json,
)
from sorafeed_assets.domain.playlists.time_slots import (
    EVERY_DAY,
    SlotDraft,
    Weekday,
    parse_days,
    shown_days,
)

_DAYS = st.frozensets(st.sampled_from(Weekday), min_size=1)
_TIMES = st.times().map(lambda found: found.replace(microsecond=0))
_DATES = st.one_of(st.none(), st.dates(date(2000, 1, 1), date(2100, 1, 1)))
SLOTS = st.builds(
    SlotDraft,
    _DAYS,
    _TIMES,
    _TIMES,
    st.sampled_from(["UTC", "Europe/Vienna", "America/Argentina/Buenos_Aires"]),
    _DATES,
    _DATES,
    st.integers(0, 100),
).filter(lambda slot: not slot.first_day or not slot.last_day or slot.first_day <= slot.last_day)
_HEADER = "days,starts,ends,time_zone,first_day,last_day,priority\n"


@given(st.lists(SLOTS, max_size=6), st.text(max_size=20))
def test_exported_slots_are_imported_as_they_were(slots: list[SlotDraft], name: str) -> None:
    assert parse_slots(slots_csv(slots)) == parse_slots_csv(slots_csv(slots)) == tuple(slots)
    text = slots_json(name, slots)
    assert parse_slots(text) == parse_slots_json(text) == tuple(slots)
    assert json.loads(text)["name"] == name


@given(_DAYS)
def test_days_are_read_as_they_are_shown(days: frozenset[Weekday]) -> None:
    assert parse_days(shown_days(days), "days") == days


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("Fri-Mon", {5, 6, 7, 1}),
        ("monday TUE, wednesday", {1, 2, 3}),
        ("Mon-Mon", {1}),
        (" Every  Day ", EVERY_DAY),
        ("", set()),
    ],
)
def test_days_may_be_written_by_hand(text: str, days: set[int]) -> None:
    assert parse_days(text, "days") == days


@pytest.mark.parametrize("text", ["Mo", "Mon-", "-Mon", "1", "Mon-Fri-Sun", "weekend"])
def test_days_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="write days such as Mon-Fri, Sun"):
        parse_days(text, "days")


def test_a_file_for_a_spreadsheet_is_read() -> None:
    text = "\ufeffpriority,ends,starts,days,time_zone\n\n,24:00,9:30,Sat Sun,Europe/Vienna\n"
    weekend = frozenset({Weekday.SATURDAY, Weekday.SUNDAY})
    assert parse_slots_csv(text) == (SlotDraft(weekend, time(9, 30), time(), "Europe/Vienna"),)
    assert parse_slots_csv(_HEADER) == ()


def test_every_refused_line_is_named_at_once() -> None:
    lines = ("Mon,9:00,17:00,CEST!,,,", "Mon,9:00", ",9:00,10:00,UTC,,,", "Mon,9:00,9,UTC,,,")
    with pytest.raises(InvalidInputError) as refused:
        parse_slots_csv(_HEADER + "\n".join((*lines, "Mon,9:00,10:00,UTC,,,high")))
    assert [error.field for error in refused.value.errors] == [
        "line 2, time_zone",
        "line 3",
        "line 4, days",
        "line 5, ends",
        "line 6, priority",
    ]


def test_too_many_slots_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="line 52: is time slot 51; write fewer"):
        parse_slots_csv(_HEADER + "Mon,9:00,10:00,UTC,,,\n" * 51)
    with pytest.raises(InvalidInputError, match="at most 50"):
        parse_slots_json(json.dumps([{}] * 51))


_GOOD = {"days": ["MONDAY"], "starts": "9:00", "ends": "10:00", "time_zone": "UTC"}


@pytest.mark.parametrize(
    ("given_", "field"),
    [
        ({}, "json"),
        ({"slots": 1}, "json"),
        ([1], "slots[0]"),
        ([{**_GOOD, "day": 1}], "slots[0]"),
        ([_GOOD, {"days": ["MONDAY"]}], "slots[1].starts"),
        ([{**_GOOD, "days": "MONDAY"}], "slots[0].days"),
        ([{**_GOOD, "days": [1]}], "slots[0].days"),
        ([{**_GOOD, "days": []}], "slots[0].days"),
        ([{**_GOOD, "ends": 10}], "slots[0].ends"),
        ([{**_GOOD, "first_day": 1}], "slots[0].first_day"),
        ([{**_GOOD, "priority": True}], "slots[0].priority"),
        ([{**_GOOD, "priority": 101}], "slots[0].priority"),
    ],
)
def test_invalid_json_is_refused_with_its_place(given_: object, field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_slots_json(json.dumps(given_))
    assert refused.value.field == field


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="json: is not valid JSON"):
        parse_slots_json(text)
