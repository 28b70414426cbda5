"""The time slots of a playlist as files: written as CSV and JSON, and read from both."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.playlists.csv_lines import parse_csv
from sorafeed_assets.domain.playlists.time_slots import (
    MAX_PRIORITY,
    MAX_SLOTS,
    SlotDraft,
    draft_slot,
    parse_days,
    shown_days,
    shown_time,
)
from sorafeed_assets.domain.text import shown

_REQUIRED: Final = ("days", "starts", "ends", "time_zone")
_FIELDS: Final = (*_REQUIRED, "first_day", "last_day", "priority")
_PRIORITY: Final = re.compile(r"[0-9]{1,3}", re.ASCII)


class _Kind(NamedTuple):
    """Which values a field of a JSON file may have, and in words."""

    holds: Callable[[object], bool]
    text: str


_TEXT: Final = _Kind(lambda value: isinstance(value, str), "text")
_DATE: Final = _Kind(lambda value: isinstance(value, str | None), "a date as text, or null")
_KINDS: Final = {
    "days": _Kind(
        lambda value: isinstance(value, list) and all(isinstance(day, str) for day in value),
        "a list of days, such as MONDAY",
    ),
    **dict.fromkeys(("starts", "ends", "time_zone"), _TEXT),
    **dict.fromkeys(("first_day", "last_day"), _DATE),
    "priority": _Kind(lambda value: type(value) is int, "a whole number"),
}


def slots_csv(slots: Iterable[SlotDraft]) -> str:
    """Time slots as CSV, with the columns that `parse_slots_csv` reads."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_FIELDS)
    writer.writerows(_fields(slot, shown_days(slot.days)).values() for slot in slots)
    return file.getvalue()


def slots_json(name: str, slots: Iterable[SlotDraft]) -> str:
    """The time slots of a playlist as JSON: its name, and the slots with the fields of the CSV."""
    found = {"name": name, "slots": slot_objects(slots)}
    return json.dumps(found, ensure_ascii=False, indent=2) + "\n"


def slot_objects(slots: Iterable[SlotDraft]) -> list[dict[str, object]]:
    """Time slots as objects of a JSON file, as `drafts_of_objects` reads them."""
    return [_fields(slot, [day.name for day in sorted(slot.days)]) for slot in slots]


def parse_slots(text: str) -> tuple[SlotDraft, ...]:
    """The time slots of a file whose text is CSV or JSON.

    Raises:
        InvalidInputError: as `parse_slots_csv` and `parse_slots_json` do.
    """
    is_json = text.removeprefix("\ufeff").lstrip().startswith(("{", "["))
    return parse_slots_json(text) if is_json else parse_slots_csv(text)


def parse_slots_csv(text: str) -> tuple[SlotDraft, ...]:
    """The time slots of a CSV file; none when it has only a header.

    Its columns are days, starts, ends and time_zone, and optionally first_day, last_day and
    priority. Days are such as ``Mon-Fri, Sun``.

    Raises:
        InvalidInputError: naming the line, and the field where there is one: ``line 3, ends``; all
            that are refused, at once.
    """
    return parse_csv(text, _FIELDS, _REQUIRED, _of_cells, most=MAX_SLOTS, kind="time slot")


def parse_slots_json(text: str) -> tuple[SlotDraft, ...]:
    """The time slots of a JSON file as `slots_json` writes it.

    Raises:
        InvalidInputError: naming the slot and the field.
    """
    try:
        given = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        raise InvalidInputError("json", "is not valid JSON") from None
    slots = given.get("slots") if isinstance(given, dict) else given
    if not isinstance(slots, list):
        raise InvalidInputError("json", "has no time slots; write an object with a list of slots")
    return drafts_of_objects(slots)


def drafts_of_objects(slots: list[Any]) -> tuple[SlotDraft, ...]:
    """The time slots of a JSON file's objects.

    Raises:
        InvalidInputError: naming the slot and the field.
    """
    if len(slots) > MAX_SLOTS:
        raise InvalidInputError(
            "json", f"has {len(slots)} time slots; at most {MAX_SLOTS} are allowed"
        )
    return tuple(_of_object(index, slot) for index, slot in enumerate(slots))


def _of_cells(index: int, cells: dict[str, str]) -> SlotDraft:
    priority = cells.get("priority", "").strip() or "0"
    if not _PRIORITY.fullmatch(priority):
        raise InvalidInputError(
            f"slots[{index}].priority",
            f"is {shown(priority)}; write a whole number from 0 to {MAX_PRIORITY}",
        )
    return _draft(index, {**cells, "priority": int(priority)})


def _of_object(index: int, slot: Any) -> SlotDraft:
    at = f"slots[{index}]"
    if not isinstance(slot, dict):
        raise InvalidInputError(at, f"must be an object with {', '.join(_FIELDS)}")
    for name in slot:
        if name not in _FIELDS:
            raise InvalidInputError(at, f"has an unknown field {shown(name)}")
    for name in _REQUIRED:
        if name not in slot:
            raise InvalidInputError(f"{at}.{name}", "is missing")
    for name, value in slot.items():
        if not _KINDS[name].holds(value):
            raise InvalidInputError(f"{at}.{name}", f"must be {_KINDS[name].text}")
    return _draft(index, {**slot, "days": ", ".join(slot["days"])})


def _draft(index: int, slot: dict[str, Any]) -> SlotDraft:
    return draft_slot(
        index,
        days=parse_days(slot["days"], f"slots[{index}].days"),
        starts=slot["starts"],
        ends=slot["ends"],
        time_zone=slot["time_zone"].strip(),
        first_day=slot.get("first_day"),
        last_day=slot.get("last_day"),
        priority=slot.get("priority", 0),
    )


def _fields(slot: SlotDraft, days: str | list[str]) -> dict[str, object]:
    return {
        "days": days,
        "starts": shown_time(slot.starts),
        "ends": shown_time(slot.ends),
        "time_zone": slot.time_zone,
        "first_day": None if slot.first_day is None else slot.first_day.isoformat(),
        "last_day": None if slot.last_day is None else slot.last_day.isoformat(),
        "priority": slot.priority,
    }
