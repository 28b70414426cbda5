"""Count jobs: terms that a caller waits for, by priority, with three attempts each.

A job is a term. One pass counts many terms as fast as one, so jobs are claimed
together. Caches and displays are updated by `services.settle`.

While a process counts, it renews the lease of its jobs, so that those of a process that ended are
due again within seconds.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import Final

import psycopg
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from sorafeed_assets.domain.errors import SorafeedError
from sorafeed_assets.services.counts.refresh import refresh_days
from sorafeed_assets.services.counts.totals import refresh_totals
from sorafeed_assets.storage.counts import jobs as stored

LEASE_SECONDS: Final = 10.0
"""How long the jobs of a process that ended wait before another process may claim them."""
_RENEW_SECONDS: Final = 2.0

_log: Final = logging.getLogger(__name__)


def run_count_jobs(engine: Engine, *, pool_size: int) -> int:
    """Run the most urgent due jobs; returns how many terms were counted.

    A failure is recorded with the jobs, which are retried, up to three attempts in all.
    """
    with engine.begin() as connection:
        stored.drop_done(connection)
        terms = stored.claim_jobs(connection, LEASE_SECONDS)
    if not terms:
        return 0
    try:
        # No days are given: only new terms are counted, over the whole catalogue.
        with _kept_claimed(engine, terms):
            counted = refresh_days(engine, (), pool_size=pool_size).terms_counted
            refresh_totals(engine)
    except (SorafeedError, SQLAlchemyError, psycopg.Error) as error:
        with engine.begin() as connection:
            stored.fail_jobs(connection, terms, str(error).splitlines()[0])
        raise
    with engine.begin() as connection:
        stored.drop_done(connection)
    return counted


@contextmanager
def _kept_claimed(engine: Engine, terms: Sequence[str]) -> Iterator[None]:
    """Renew the lease of the jobs of ``terms`` until the block ends."""
    ended = Event()

    def renew() -> None:
        while not ended.wait(_RENEW_SECONDS):
            try:
                with engine.begin() as connection:
                    stored.renew_jobs(connection, terms, LEASE_SECONDS)
            except SQLAlchemyError as error:
                # If it runs out, another process may count the same terms: slower, not wrong.
                _log.warning("the lease of %s count jobs is not renewed: %s", len(terms), error)

    thread = Thread(target=renew, name="count job lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def failed_counts(engine: Engine) -> dict[str, str]:
    """Terms that could not be counted, and why."""
    with engine.connect() as connection:
        return stored.given_up(connection)
