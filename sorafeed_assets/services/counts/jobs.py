"""Count jobs: terms that a caller waits for, by priority, with three attempts each.

A job is a term. One pass counts many terms as fast as one, so jobs are claimed
together. Caches and displays are updated by `services.settle`.
"""

from typing import Final

import psycopg
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from sorafeed_assets.domain.errors import SorafeedError
from sorafeed_assets.services.counts.reads import refresh_days
from sorafeed_assets.services.counts.totals import refresh_totals
from sorafeed_assets.storage.counts import jobs as stored

_LEASE_SECONDS: Final = 900.0


def run_count_jobs(engine: Engine, *, pool_size: int) -> int:
    """Run the most urgent due jobs; returns how many terms were counted.

    A failure is recorded with the jobs, which are retried, up to three attempts in all.
    """
    with engine.begin() as connection:
        stored.drop_done(connection)
        terms = stored.claim_jobs(connection, _LEASE_SECONDS)
    if not terms:
        return 0
    try:
        # No days are given: only new terms are counted, over the whole catalogue.
        counted = refresh_days(engine, (), pool_size=pool_size).terms_counted
        refresh_totals(engine)
    except (SorafeedError, SQLAlchemyError, psycopg.Error) as error:
        with engine.begin() as connection:
            stored.fail_jobs(connection, terms, str(error).splitlines()[0])
        raise
    with engine.begin() as connection:
        stored.drop_done(connection)
    return counted


def failed_counts(engine: Engine) -> dict[str, str]:
    """Terms that could not be counted, and why."""
    with engine.connect() as connection:
        return stored.given_up(connection)
