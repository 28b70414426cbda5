"""The plots of the system: what changed and played in the last hour, and day by day."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from sorafeed_assets.domain.plotting import Plot, Values, plot
from sorafeed_assets.storage.counts.by_day import largest_by_day
from sorafeed_assets.storage.figures import MinuteFigures
from sorafeed_assets.storage.timelines.play_hours import PlayDay, read_days

MINUTES: Final = 60
DAYS: Final = 30
_TERMS: Final = 5


def day_plots(connection: Connection, today: date) -> list[Plot]:
    """The last days, by UTC day: counts of the largest terms, plays, and repeats."""
    return [counts_plot(connection, today), *plays_plots(read_days(connection, today, DAYS))]


def counts_plot(connection: Connection, today: date) -> Plot:
    """New posts by day of the terms that most posts match; ``today`` is not over."""
    largest = largest_by_day(connection, today, DAYS, _TERMS)
    first = today - timedelta(days=DAYS - 1)
    title = "New posts of the largest searches by day"
    return plot(title, "posts", largest, f"{first}", f"{today}", is_open=True)


def plays_plots(days: Sequence[PlayDay]) -> list[Plot]:
    """Plays by day, and the share that were repeats or skipped; the last day is not over."""
    first, last = f"{days[0].day}", f"{days[-1].day}"
    plays = {"plays": [day.plays for day in days]}
    return [
        plot("Plays by day", "plays", plays, first, last, is_open=True),
        plot(
            "Share of plays by day",
            "%",
            {
                "repeats": [_percent(day.repeats, day.plays) for day in days],
                "skipped": [_percent(day.skips, day.plays) for day in days],
            },
            first,
            last,
            is_open=True,
        ),
    ]


def latency_plot(minutes: Sequence[MinuteFigures]) -> Plot:
    """Seconds from a change to the screen, by minute."""
    return _by_minute(
        "From a change to the screen",
        "s",
        minutes,
        {
            "median": [m.on_screen_half for m in minutes],
            "95th percentile": [m.on_screen_most for m in minutes],
        },
    )


def plots_of(minutes: Sequence[MinuteFigures]) -> list[Plot]:
    """The plots of some minutes, of which there is at least one."""
    return [
        _by_minute("Plays per minute", "plays", minutes, {"plays": [m.plays for m in minutes]}),
        latency_plot(minutes),
        _by_minute("Low queues", "displays", minutes, {"low": [m.low_queues for m in minutes]}),
        _by_minute(
            "Waiting lineage", "records", minutes, {"waiting": [m.lineage_waiting for m in minutes]}
        ),
    ]


def _by_minute(
    title: str, unit: str, minutes: Sequence[MinuteFigures], of: dict[str, Values]
) -> Plot:
    return plot(title, unit, of, _clock(minutes[0].minute), f"{_clock(minutes[-1].minute)} UTC")


def _clock(moment: datetime) -> str:
    return f"{moment:%H:%M}"


def _percent(part: int | None, plays: int | None) -> float | None:
    return None if part is None or not plays else 100 * part / plays
