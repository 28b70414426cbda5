"""The week of a timetable as a calendar: boxes of an SVG, and the same week in lines."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from sorafeed_assets.domain.playlists.time_zones import instant_of
from sorafeed_assets.domain.playlists.timetable import Span

HEAD: Final = 22
HOUR: Final = 18
DAY: Final = 100
LEFT: Final = 40
WIDTH: Final = LEFT + 7 * DAY
HEIGHT: Final = HEAD + 24 * HOUR + 4
_COLOURS: Final = 6
_LINE: Final = 13
_LETTERS: Final = 13


class Box(NamedTuple):
    """A part of a day in which a playlist is active, by the clock on the wall."""

    x: int
    y: float
    height: float
    colour: str
    text: str
    title: str


class Line(NamedTuple):
    """A span in words; ``is_now`` for the current one."""

    start: datetime
    end: datetime
    text: str
    playlist: str
    is_now: bool


class Week(NamedTuple):
    """A calendar of seven days from Monday, in one time zone."""

    monday: date
    zone: str
    days: tuple[str, ...]
    hours: tuple[tuple[float, str], ...]
    boxes: tuple[Box, ...]
    lines: tuple[Line, ...]
    now: tuple[int, float] | None

    @property
    def before(self) -> date:
        """The Monday of the week before."""
        return self.monday - timedelta(days=7)

    @property
    def after(self) -> date:
        """The Monday of the week after."""
        return self.monday + timedelta(days=7)


def bounds(monday: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The instants at which a week begins and ends, in UTC."""
    start = datetime.combine(monday, time())
    return instant_of(start, zone), instant_of(start + timedelta(days=7), zone)


def week_of(
    spans: Sequence[Span],
    monday: date,
    zone: ZoneInfo,
    names: Mapping[UUID, str],
    base_id: UUID,
    now: datetime,
) -> Week:
    """Build the calendar of a week of spans."""
    colours = _colours(spans)
    boxes: list[Box] = []
    lines: list[Line] = []
    for span in spans:
        playlist_id = span.slot.playlist_id if span.slot else base_id
        name = names.get(playlist_id, "(a deleted playlist)")
        start, end = (at.astimezone(zone) for at in (span.start, span.end))
        text = f"{start:%a %H:%M} to {end:%a %H:%M}"
        lines.append(Line(span.start, span.end, text, name, span.start <= now < span.end))
        if span.slot is not None:
            boxes += _boxes(span, monday, zone, colours[playlist_id], name)
    days = [monday + timedelta(days=n) for n in range(7)]
    local = now.astimezone(zone)
    is_in_week = monday <= local.date() < monday + timedelta(days=7)
    return Week(
        monday,
        zone.key,
        tuple(f"{day:%a %d %b}" for day in days),
        tuple((HEAD + hour * HOUR, f"{hour:02}:00") for hour in range(0, 24, 3)),
        tuple(boxes),
        tuple(lines),
        (LEFT + local.weekday() * DAY, _y(local)) if is_in_week else None,
    )


def _colours(spans: Sequence[Span]) -> dict[UUID, str]:
    """A colour for each playlist, as long as there are enough."""
    timed = dict.fromkeys(span.slot.playlist_id for span in spans if span.slot)
    ordered = sorted(timed, key=str)
    return {playlist_id: f"colour-{n % _COLOURS}" for n, playlist_id in enumerate(ordered)}


def _boxes(span: Span, monday: date, zone: ZoneInfo, colour: str, name: str) -> list[Box]:
    """A box for each day of a span."""
    boxes: list[Box] = []
    for number in range(7):
        day = datetime.combine(monday + timedelta(days=number), time())
        start = max(span.start, instant_of(day, zone))
        end = min(span.end, instant_of(day + timedelta(days=1), zone))
        if start >= end:
            continue
        top = _y(start.astimezone(zone))
        local_end = end.astimezone(zone)
        bottom = _y(local_end) if local_end.date() == day.date() else HEAD + 24 * HOUR
        height = max(bottom - top, 2.0)
        text = name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"
        title = f"{name}: {start.astimezone(zone):%a %H:%M} to {local_end:%a %H:%M}"
        boxes.append(
            Box(LEFT + number * DAY, top, height, colour, text if height >= _LINE else "", title)
        )
    return boxes


def _y(local: datetime) -> float:
    return round(HEAD + (local.hour + local.minute / 60 + local.second / 3600) * HOUR, 1)


def monday_of(given: str, zone: ZoneInfo, now: datetime | None = None) -> date:
    """The Monday of the week of a date, as ``YYYY-MM-DD``; of this week for any other text."""
    day = (now or datetime.now(UTC)).astimezone(zone).date()
    try:
        asked = date.fromisoformat(given)
    except ValueError:
        asked = day
    # Years at the ends of the calendar have no week before or after.
    day = asked if 1971 <= asked.year <= 9000 else day
    return day - timedelta(days=day.weekday())
