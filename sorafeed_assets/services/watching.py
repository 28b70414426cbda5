"""The figures that `/metrics` reports of the stored state, and of Dagster's runs."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import Engine

from sorafeed_assets.services.timelines.queues import QueueStatus, low_displays, queue_status
from sorafeed_assets.storage import watching as stored
from sorafeed_assets.storage.dagster_runs import count_failed_runs
from sorafeed_assets.storage.figures import store_sample
from sorafeed_assets.storage.lineage_records import waiting_assets

FAILED_WITHIN: Final = timedelta(hours=1)
"""For how long a failed run is counted."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What is stored, and the queues of all displays."""

    stored: stored.StoredFigures
    queues: QueueStatus


def read_figures(engine: Engine, window: int) -> Figures:
    """Read the figures of this system's database."""
    with engine.connect() as connection:
        figures = stored.read_figures(connection)
    return Figures(figures, queue_status(engine, window))


def sample_figures(engine: Engine, *, low: int) -> None:
    """Store this minute's figures, if they are not stored yet."""
    queues = len(low_displays(engine, low=low))
    with engine.begin() as connection:
        waiting = sum(records for records, _ in waiting_assets(connection).values())
        store_sample(connection, low_queues=queues, lineage_waiting=waiting)


def recently_failed_runs(dagster: Engine) -> int:
    """How many of Dagster's runs have failed within `FAILED_WITHIN`."""
    with dagster.connect() as connection:
        return count_failed_runs(connection, FAILED_WITHIN)
