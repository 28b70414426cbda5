"""What clients may write as a time slot."""

from datetime import date, time
from typing import Any

import pytest

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.playlists.time_slots import Weekday, draft_slot

_GOOD: dict[str, Any] = {
    "days": [6, 7],
    "starts": "22:00",
    "ends": "04:30:15",
    "time_zone": "Europe/Vienna",
    "first_day": "2026-07-01",
    "last_day": " ",
    "priority": 3,
}


def test_a_slot_is_read() -> None:
    slot = draft_slot(0, **_GOOD)
    assert slot.days == {Weekday.SATURDAY, Weekday.SUNDAY}
    assert (slot.starts, slot.ends) == (time(22), time(4, 30, 15))
    assert (slot.first_day, slot.last_day, slot.priority) == (date(2026, 7, 1), None, 3)
    assert draft_slot(0, **{**_GOOD, "ends": "24:00"}).ends == time()


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("days", [], "at least one day"),
        ("days", [0], "1 \\(Monday\\) to 7"),
        ("days", [8, 1], "1 \\(Monday\\) to 7"),
        ("starts", "25:00", "such as 18:30"),
        ("starts", "24:01", "such as 18:30"),
        ("ends", "noon", "such as 18:30"),
        ("ends", "١٢:00", "such as 18:30"),
        ("time_zone", "CEST!", "Europe/Vienna"),
        ("first_day", "1.7.2026", "2026-12-24"),
        ("first_day", "2026-02-30", "2026-12-24"),
        ("last_day", "2026-06-30", "before the first day"),
        ("priority", -1, "0 to 100"),
        ("priority", 101, "0 to 100"),
    ],
)
def test_a_wrong_field_is_named(field: str, value: object, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem) as refused:
        draft_slot(2, **{**_GOOD, field: value})
    assert refused.value.field == f"slots[2].{field}"
