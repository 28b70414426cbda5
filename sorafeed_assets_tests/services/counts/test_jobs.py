"""Count jobs: the most urgent first, three attempts, and a restart on request."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final

import psycopg
import pytest
from redis import Redis
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from sorafeed_assets.domain.catalog.search import parse_query
from sorafeed_assets.services.counts.jobs import LEASE_SECONDS, failed_counts, run_count_jobs
from sorafeed_assets.services.counts.priority import Priority
from sorafeed_assets.services.counts.reads import term_totals, uncounted_terms
from sorafeed_assets.services.counts.terms import track_term, watch_term
from sorafeed_assets.services.queries import Queries
from sorafeed_assets.storage.counts.jobs import MAX_ATTEMPTS, add_jobs, claim_jobs
from sorafeed_assets_tests.cli.running import wait_until
from sorafeed_assets_tests.wall import add_posts

_BREAK: Final = "ALTER TABLE catalog_days RENAME TO hidden_days"
_REPAIR: Final = "ALTER TABLE hidden_days RENAME TO catalog_days"
_DUE: Final = "UPDATE count_jobs SET run_after = now()"


def _run(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def _ask(engine: Engine, terms: list[str], priority: Priority) -> None:
    with engine.begin() as connection:
        add_jobs(connection, terms, int(priority))


def _claim(engine: Engine) -> list[str]:
    with engine.begin() as connection:
        return claim_jobs(connection, LEASE_SECONDS)


def _attempts(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.scalars(text("SELECT attempts FROM count_jobs ORDER BY term")))


def _problem_told(engine: Engine) -> str | None:
    """The problem that a list of terms shows."""
    ((_, term),) = Queries(engine).terms(None, 10, None).rows
    return term.problem


def _count(engine: Engine, redis: Redis) -> int:
    return run_count_jobs(engine, pool_size=10)


def _fail(engine: Engine, redis: Redis, times: int) -> None:
    _run(engine, _BREAK)
    for _ in range(times):
        _run(engine, _DUE)
        with pytest.raises(SQLAlchemyError):
            _count(engine, redis)
    _run(engine, _REPAIR)


def test_the_most_urgent_jobs_are_taken_first(engine: Engine) -> None:
    for term in ("played", "seen", "seen too", "raised"):
        track_term(engine, parse_query(term), int(Priority.PLAYED))
    _ask(engine, ["played", "raised", "unheard of"], Priority.PLAYED)
    _ask(engine, ["seen", "seen too"], Priority.LOOKED_AT)
    _ask(engine, ["raised"], Priority.LOOKED_AT)
    # A less urgent request keeps the priority.
    _ask(engine, ["seen"], Priority.PLAYED)
    assert _claim(engine) == ["raised", "seen", "seen too"]
    assert _claim(engine) == ["played"]
    assert _claim(engine) == []


def test_a_failing_job_waits_and_is_given_up_after_three_attempts(
    engine: Engine, redis: Redis
) -> None:
    add_posts(engine, "cat", 3)
    watch_term(engine, "cat")
    _ask(engine, ["cat"], Priority.LOOKED_AT)
    _fail(engine, redis, 1)
    # It is not due at once, and not given up.
    assert _count(engine, redis) == 0
    assert _attempts(engine) == [1]
    assert failed_counts(engine) == {}
    _fail(engine, redis, MAX_ATTEMPTS - 1)
    assert list(failed_counts(engine)) == ["cat"]
    assert "catalog_days" in failed_counts(engine)["cat"]
    _run(engine, _DUE)
    assert _count(engine, redis) == 0
    assert list(uncounted_terms(engine)) == ["cat"]


def test_a_job_that_failed_once_is_done_by_its_next_attempt(engine: Engine, redis: Redis) -> None:
    add_posts(engine, "cat", 3)
    watch_term(engine, "cat")
    _ask(engine, ["cat"], Priority.PLAYED)
    _fail(engine, redis, 1)
    _run(engine, _DUE)
    assert _count(engine, redis) == 1
    assert _attempts(engine) == []
    assert uncounted_terms(engine) == {}


def test_asked_again_a_given_up_job_has_all_its_attempts(engine: Engine, redis: Redis) -> None:
    add_posts(engine, "cat", 3)
    watch_term(engine, "cat")
    _ask(engine, ["cat"], Priority.LOOKED_AT)
    _fail(engine, redis, MAX_ATTEMPTS)
    _ask(engine, ["cat"], Priority.PLAYED)
    assert _attempts(engine) == [0]
    assert failed_counts(engine) == {}
    _fail(engine, redis, MAX_ATTEMPTS - 1)
    assert failed_counts(engine) == {}
    _run(engine, _DUE)
    assert _count(engine, redis) == 1
    assert term_totals(engine)["cat", "mixed"] == 3


def test_asked_again_a_given_up_job_runs_at_once(engine: Engine, redis: Redis) -> None:
    add_posts(engine, "cat", 3)
    watch_term(engine, "cat")
    _ask(engine, ["cat"], Priority.LOOKED_AT)
    _fail(engine, redis, MAX_ATTEMPTS)
    _ask(engine, ["cat"], Priority.PLAYED)
    assert _count(engine, redis) == 1


def test_a_job_is_not_given_up_before_its_last_attempt_is_over(engine: Engine) -> None:
    watch_term(engine, "cat")
    _ask(engine, ["cat"], Priority.LOOKED_AT)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        _run(engine, _DUE)
        assert _claim(engine) == ["cat"]
        assert _attempts(engine) == [attempt]
        assert failed_counts(engine) == {}
        assert _problem_told(engine) is None
    # A request meanwhile does not start a second attempt.
    _ask(engine, ["cat"], Priority.LOOKED_AT)
    assert _claim(engine) == []
    # Its worker has ended, and the lease expires.
    _run(engine, _DUE)
    assert _claim(engine) == []
    assert failed_counts(engine) == {"cat": "was interrupted"}
    assert _problem_told(engine) == "was interrupted"
    _ask(engine, ["cat"], Priority.PLAYED)
    assert failed_counts(engine) == {}
    assert _claim(engine) == ["cat"]


def test_a_failure_while_posts_are_read_is_recorded(engine: Engine, redis: Redis) -> None:
    add_posts(engine, "cat", 3)
    watch_term(engine, "cat")
    _ask(engine, ["cat"], Priority.LOOKED_AT)
    _run(engine, "ALTER TABLE sora_posts RENAME TO hidden_posts")
    with pytest.raises((SQLAlchemyError, psycopg.Error)):
        _count(engine, redis)
    with engine.connect() as connection:
        problem = connection.scalars(text("SELECT problem FROM count_jobs")).one()
    assert "sora_posts" in problem


def test_a_count_that_takes_long_keeps_its_claim(engine: Engine, redis: Redis) -> None:
    add_posts(engine, "cat", 3)
    watch_term(engine, "cat")
    _ask(engine, ["cat"], Priority.LOOKED_AT)
    with ThreadPoolExecutor() as pool:
        with engine.begin() as connection:
            # Counting waits for this table.
            connection.execute(text("LOCK TABLE catalog_days IN ROW EXCLUSIVE MODE"))
            counted = pool.submit(_count, engine, redis)
            wait_until(lambda: _attempts(engine) == [1], "a claim")
            claimed_until = _due_at(engine)
            wait_until(lambda: _due_at(engine) > claimed_until, "a renewed lease")
        assert counted.result() == 1


def _due_at(engine: Engine) -> datetime:
    with engine.connect() as connection:
        due: datetime = connection.execute(text("SELECT run_after FROM count_jobs")).scalar_one()
    return due
