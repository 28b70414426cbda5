"""Time slots: when a playlist is active by the clock, as clients write them."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import IntEnum
from typing import Final
from uuid import UUID

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.playlists.time_zones import load_zone
from sorafeed_assets.domain.text import shown

MAX_SLOTS: Final = 50
"""The most time slots of a playlist."""
MAX_PRIORITY: Final = 100
_CLOCK_TIME: Final = re.compile(r"([01]?[0-9]|2[0-4]):([0-5][0-9])(?::([0-5][0-9]))?", re.ASCII)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


class Weekday(IntEnum):
    """A day of the week, as ISO 8601 numbers it."""

    MONDAY = 1
    TUESDAY = 2
    WEDNESDAY = 3
    THURSDAY = 4
    FRIDAY = 5
    SATURDAY = 6
    SUNDAY = 7

    @property
    def short(self) -> str:
        """Its first three letters, such as ``Mon``."""
        return self.name[:3].capitalize()


EVERY_DAY: Final = frozenset(Weekday)
_EVERY_DAY: Final = "every day"


@dataclass(frozen=True, slots=True)
class SlotDraft:
    """A time slot as a client sends it, before it is stored.

    It begins at ``starts`` on each of ``days`` from ``first_day`` to ``last_day`` (no bound when
    None) and ends at ``ends``; when that is not later, on the next day. Times are those of the wall
    clock in ``time_zone``.
    """

    days: frozenset[Weekday]
    starts: time
    ends: time
    time_zone: str
    first_day: date | None = None
    last_day: date | None = None
    priority: int = 0


@dataclass(frozen=True, slots=True)
class TimeSlot:
    """A time slot as stored."""

    id: UUID
    playlist_id: UUID
    created_at: datetime
    draft: SlotDraft


def draft_slot(
    index: int,
    *,
    days: Collection[int],
    starts: str,
    ends: str,
    time_zone: str,
    first_day: str | None = None,
    last_day: str | None = None,
    priority: int = 0,
) -> SlotDraft:
    """Check the fields of one requested time slot.

    Times are ``HH:MM`` or ``HH:MM:SS``, dates ``YYYY-MM-DD``.

    Raises:
        InvalidInputError: naming the field, as ``slots[index].field``.
    """
    at = f"slots[{index}]"
    if not days:
        raise InvalidInputError(f"{at}.days", "is empty; choose at least one day of the week")
    if unknown := set(days) - EVERY_DAY:
        raise InvalidInputError(
            f"{at}.days", f"has {shown(min(unknown))}; days are 1 (Monday) to 7 (Sunday)"
        )
    first, last = _date(first_day, f"{at}.first_day"), _date(last_day, f"{at}.last_day")
    if first and last and last < first:
        raise InvalidInputError(f"{at}.last_day", f"is {last}, before the first day, {first}")
    if not 0 <= priority <= MAX_PRIORITY:
        raise InvalidInputError(
            f"{at}.priority", f"is {shown(priority)}; it must be 0 to {MAX_PRIORITY}"
        )
    load_zone(time_zone, f"{at}.time_zone")
    return SlotDraft(
        frozenset(map(Weekday, days)),
        _clock_time(starts, f"{at}.starts"),
        _clock_time(ends, f"{at}.ends"),
        time_zone,
        first,
        last,
        priority,
    )


def _clock_time(value: str, field: str) -> time:
    found = _CLOCK_TIME.fullmatch(value.strip())
    hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (25, 0, 0)
    if hours > 24 or (hours == 24 and (minutes or seconds)):
        raise InvalidInputError(
            field, f"is {shown(value)}; write a time from 00:00 to 24:00, such as 18:30"
        )
    return time(hours % 24, minutes, seconds)


def _date(value: str | None, field: str) -> date | None:
    if value is None or not value.strip():
        return None
    problem = InvalidInputError(field, f"is {shown(value)}; write a date such as 2026-12-24")
    if not _DATE.fullmatch(value.strip()):
        raise problem
    try:
        return date.fromisoformat(value.strip())
    except ValueError:
        raise problem from None


def shown_time(moment: time) -> str:
    """``HH:MM``, with seconds only when there are any."""
    return moment.strftime("%H:%M:%S" if moment.second else "%H:%M")


def shown_days(days: Collection[Weekday]) -> str:
    """Days of the week for people, such as ``Mon-Fri, Sun``."""
    if len(days) == len(EVERY_DAY):
        return _EVERY_DAY.capitalize()
    runs: list[list[Weekday]] = []
    for day in sorted(days):
        if runs and day == runs[-1][-1] + 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    texts = [
        "-".join([run[0].short, run[-1].short]) if len(run) > 2 else ", ".join(d.short for d in run)
        for run in runs
    ]
    return ", ".join(texts)


def parse_days(text: str, field: str) -> frozenset[Weekday]:
    """The days of a text such as `shown_days` writes: names, and ranges of them.

    Names have three letters or all, in any case; blanks or commas are between them.

    Raises:
        InvalidInputError: naming ``field``.
    """
    if " ".join(text.casefold().split()) == _EVERY_DAY:
        return EVERY_DAY
    days: set[Weekday] = set()
    for part in text.replace(",", " ").split():
        first, dash, last = part.partition("-")
        start = _weekday(first, part, field)
        end = _weekday(last, part, field) if dash else start
        # A range may go over the end of the week.
        days.update(Weekday((start - 1 + step) % 7 + 1) for step in range((end - start) % 7 + 1))
    return frozenset(days)


def _weekday(name: str, part: str, field: str) -> Weekday:
    for day in Weekday:
        if name.casefold() in (day.short.casefold(), day.name.casefold()):
            return day
    raise InvalidInputError(
        field, f"has {shown(part)}; write days such as Mon-Fri, Sun, or Every day"
    )


def shown_slot(slot: SlotDraft) -> str:
    """A time slot in one line for people, such as ``Mon-Fri 09:00-17:00 (Europe/Vienna)``."""
    hours = (
        "all day"
        if slot.starts == slot.ends == time()
        else f"{shown_time(slot.starts)}-{shown_time(slot.ends)}"
    )
    dates = {
        (True, True): f", {slot.first_day} to {slot.last_day}",
        (True, False): f", from {slot.first_day}",
        (False, True): f", until {slot.last_day}",
        (False, False): "",
    }[slot.first_day is not None, slot.last_day is not None]
    return f"{shown_days(slot.days)} {hours} ({slot.time_zone}){dates}"
