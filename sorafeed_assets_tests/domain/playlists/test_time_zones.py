"""The first instant at which a clock shows a time, in every zone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.playlists.time_zones import instant_of, load_zone, zone_names

_MINUTE = timedelta(minutes=1)


def _walls(zone: ZoneInfo, start: datetime, minutes: int) -> list[tuple[datetime, datetime]]:
    """Each minute with the latest time that the clock has shown until then."""
    shown: list[tuple[datetime, datetime]] = []
    for n in range(minutes):
        at = start + n * _MINUTE
        wall = at.astimezone(zone).replace(tzinfo=None, fold=0)
        shown.append((at, max(wall, shown[-1][1]) if shown else wall))
    return shown


def _changes(zone: ZoneInfo, year: int) -> list[datetime]:
    """The days of a year, in UTC, on which the zone changes its offset."""
    start = datetime(year, 1, 1, tzinfo=UTC)
    offsets = [(start + timedelta(days=n)).astimezone(zone).utcoffset() for n in range(367)]
    return [start + timedelta(days=n) for n in range(366) if offsets[n] != offsets[n + 1]]


@pytest.mark.parametrize("year", [2011, 2026])
def test_every_change_of_every_zone_is_as_when_each_minute_is_looked_at(year: int) -> None:
    seen: set[tuple[datetime, timedelta | None, timedelta | None]] = set()
    for name in sorted(zone_names()):
        zone = load_zone(name)
        for day in _changes(zone, year):
            end = day + timedelta(days=1)
            kind = (day, day.astimezone(zone).utcoffset(), end.astimezone(zone).utcoffset())
            if kind in seen:
                continue
            seen.add(kind)
            shown = _walls(zone, day - timedelta(hours=3), 30 * 60)
            wall = shown[1][1]
            at = 0
            while wall <= shown[-1][1]:
                while shown[at][1] < wall:
                    at += 1
                assert instant_of(wall, zone) == shown[at][0], (name, wall)
                wall += timedelta(minutes=15)
    assert len(seen) > 10


def test_a_skipped_time_is_the_jump_and_a_doubled_one_the_first() -> None:
    vienna = load_zone("Europe/Vienna")
    skipped = instant_of(datetime(2026, 3, 29, 2, 30), vienna)  # noqa: DTZ001  # a clock's time
    assert skipped == datetime(2026, 3, 29, 1, tzinfo=UTC)
    doubled = instant_of(datetime(2026, 10, 25, 2, 30), vienna)  # noqa: DTZ001
    assert doubled == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_a_skipped_day_has_no_length() -> None:
    apia = load_zone("Pacific/Apia")
    day = datetime(2011, 12, 30)  # noqa: DTZ001
    assert instant_of(day, apia) == instant_of(day + timedelta(days=1), apia)


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "Europe", "europe/vienna"])
def test_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match="no time zone"):
        load_zone(name)
