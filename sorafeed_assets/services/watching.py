"""The figures that `/metrics` reports of the stored state, and of Dagster's runs."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import Engine

from sorafeed_assets.services.timelines.queues import QueueStatus, queue_status
from sorafeed_assets.storage import watching as stored
from sorafeed_assets.storage.dagster_runs import count_failed_runs

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


def recently_failed_runs(dagster: Engine) -> int:
    """How many of Dagster's runs have failed within `FAILED_WITHIN`."""
    with dagster.connect() as connection:
        return count_failed_runs(connection, FAILED_WITHIN)
