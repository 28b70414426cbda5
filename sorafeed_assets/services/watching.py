"""The figures that `/metrics` reports of the stored state, and of Dagster's runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Engine

from sorafeed_assets.domain.shadow.outcome import Outcome
from sorafeed_assets.services.timelines.queues import QueueStatus, low_displays, queue_status
from sorafeed_assets.storage import watching as stored
from sorafeed_assets.storage.dagster_runs import count_failed_runs
from sorafeed_assets.storage.figures import store_sample
from sorafeed_assets.storage.lineage_records import waiting_assets
from sorafeed_assets.storage.shadow import comparisons
from sorafeed_assets.storage.timelines.play_hours import RECOUNTED_HOURS, count_hour

FAILED_WITHIN: Final = timedelta(hours=1)
"""For how long a failed run is counted."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What is stored, the queues of all displays, and what comparing with the old system found."""

    stored: stored.StoredFigures
    queues: QueueStatus
    shadow: Mapping[Outcome, int]


def read_figures(engine: Engine, window: int, shadow_days: int) -> Figures:
    """Read the figures of this system's database; the comparisons of the last ``shadow_days``."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    since = today - timedelta(days=shadow_days - 1)
    with engine.connect() as connection:
        figures = stored.read_figures(connection)
        shadow = comparisons.outcomes(connection, since)
    return Figures(figures, queue_status(engine, window), shadow)


def sample_figures(engine: Engine, *, low: int) -> None:
    """Store this minute's figures, if they are not stored yet, and count the plays of an hour."""
    queues = len(low_displays(engine, low=low))
    with engine.begin() as connection:
        waiting = sum(records for records, _ in waiting_assets(connection).values())
        store_sample(connection, low_queues=queues, lineage_waiting=waiting)
    with engine.begin() as connection:
        count_hour(connection, hour_to_count(datetime.now(UTC)))


def hour_to_count(now: datetime) -> datetime:
    """The hour whose plays are counted in this minute.

    Every tenth minute it is the current one; else one of those before, each about once an hour.
    """
    minutes = int(now.timestamp()) // 60
    back = 0 if minutes % 10 == 0 else minutes % (RECOUNTED_HOURS + 1)
    return now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=back)


def recently_failed_runs(dagster: Engine) -> int:
    """How many of Dagster's runs have failed within `FAILED_WITHIN`."""
    with dagster.connect() as connection:
        return count_failed_runs(connection, FAILED_WITHIN)
