"""Time zones by name, and the instant at which a zone's wall clock shows a time.

The data are those of the pinned package `tzdata`, not of the machine, so that all machines switch
at the same instants.
"""

from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.text import shown

_SECOND: Final = timedelta(seconds=1)


@cache
def zone_names() -> frozenset[str]:
    """The name of every time zone, such as ``Europe/Vienna``."""
    return frozenset((files("tzdata") / "zones").read_text("ascii").split())


@cache
def load_zone(name: str, field: str = "time_zone") -> ZoneInfo:
    """The time zone of this name.

    Raises:
        InvalidInputError: naming ``field``, when there is no such zone.
    """
    if name not in zone_names():
        raise InvalidInputError(
            field, f"is {shown(name)}, which is no time zone; write one such as Europe/Vienna"
        )
    with (files("tzdata") / "zoneinfo").joinpath(*name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


def instant_of(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first instant, in UTC, at which the zone's clock shows ``wall`` or later.

    A time that the clock shows twice is its first; a time that the clock skips is the moment at
    which it is put forward. ``wall`` has whole seconds and no zone.
    """
    before = (wall - _offset(wall, zone, 0)).replace(tzinfo=UTC)
    if _wall_of(before, zone) == wall:
        return before
    # Skipped: `before` is after the jump. The clock jumps between these two.
    early = (wall - _offset(wall, zone, 1)).replace(tzinfo=UTC)
    late = before
    while late - early > _SECOND:
        middle = early + (late - early) // 2
        middle -= timedelta(microseconds=middle.microsecond)
        if _wall_of(middle, zone) >= wall:
            late = middle
        else:
            early = middle
    return late


def _offset(wall: datetime, zone: ZoneInfo, fold: int) -> timedelta:
    offset = wall.replace(tzinfo=zone, fold=fold).utcoffset()
    return timedelta() if offset is None else offset


def _wall_of(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)
