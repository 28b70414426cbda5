"""Transactions that lose a conflict are retried; a lasting conflict is reported as busy."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import PendingRollbackError, SQLAlchemyError

from sorafeed_assets.domain.errors import BusyError
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.postgres.engine import create_database_engine, snapshot
from sorafeed_assets.storage.postgres.retry import ATTEMPTS, is_conflict, is_lost, retried
from sorafeed_assets_tests.catalogue import run


@pytest.fixture
def rows(engine: Engine) -> Engine:
    """A database with two displays to write to."""
    run(engine, "INSERT INTO displays (id, name) VALUES ('AAAAAA', 'x'), ('BBBBBB', 'x')")
    return engine


@pytest.fixture
def hasty(settings: Settings) -> Iterator[Engine]:
    """An engine that waits a second for a lock."""
    hasty = settings.model_copy(update={"lock_timeout_seconds": 1})
    engine = create_database_engine(str(settings.database_url), hasty)
    yield engine
    engine.dispose()


def _append(connection: Connection, display_id: str) -> None:
    connection.execute(
        text("UPDATE displays SET name = name || 'y' WHERE id = :id"), {"id": display_id}
    )


def _names(engine: Engine) -> list[str]:
    return [row.name for row in run(engine, "SELECT name FROM displays ORDER BY id")]


def test_one_of_two_that_wait_for_each_other_goes_again(rows: Engine) -> None:
    meeting = Barrier(2)
    calls: list[object] = []

    @retried
    def write(first: str, second: str) -> None:
        calls.append(first)
        with rows.begin() as connection:
            _append(connection, first)
            if len(calls) <= 2:
                meeting.wait(10)
            _append(connection, second)

    with ThreadPoolExecutor(2) as threads:
        for done in [
            threads.submit(write, "AAAAAA", "BBBBBB"),
            threads.submit(write, "BBBBBB", "AAAAAA"),
        ]:
            done.result(30)
    assert len(calls) == 3
    assert _names(rows) == ["xyy", "xyy"]


def test_a_snapshot_that_was_overtaken_is_taken_again(rows: Engine) -> None:
    calls: list[object] = []

    @retried
    def write() -> str:
        with snapshot(rows) as connection:
            connection.execute(text("SELECT FROM displays"))
            if not calls:
                with rows.begin() as other:
                    _append(other, "AAAAAA")
            calls.append(1)
            _append(connection, "AAAAAA")
        return "done"

    assert write() == "done"
    assert _names(rows) == ["xyy", "x"]


def test_a_lock_that_is_never_free_is_told_as_busy(rows: Engine, hasty: Engine) -> None:
    calls: list[object] = []

    @retried
    def write() -> None:
        calls.append(1)
        with hasty.begin() as connection:
            _append(connection, "AAAAAA")

    with rows.begin() as holder:
        _append(holder, "AAAAAA")
        with pytest.raises(BusyError, match="nothing was changed"):
            write()
    assert len(calls) == ATTEMPTS
    write()
    assert _names(rows) == ["xyy", "x"]


def test_another_error_is_not_tried_again(rows: Engine) -> None:
    calls: list[object] = []

    @retried
    def write() -> None:
        calls.append(1)
        with rows.begin() as connection:
            connection.execute(text("SELECT 1 / 0"))

    with pytest.raises(SQLAlchemyError, match="division") as caught:
        write()
    assert len(calls) == 1
    assert not is_conflict(caught.value)
    assert not is_lost(caught.value)


def _end(connection: Connection, engine: Engine) -> None:
    """End the session of a connection, and use it."""
    pid = connection.scalar(text("SELECT pg_backend_pid()"))
    run(engine, "SELECT pg_terminate_backend(:pid)", pid=pid)
    connection.execute(text("SELECT 1"))


def test_a_session_that_was_ended_is_told_as_lost(engine: Engine) -> None:
    with engine.connect() as connection:
        with pytest.raises(SQLAlchemyError) as lost:
            _end(connection, engine)
        assert is_lost(lost.value)


def test_a_session_that_was_ended_within_a_savepoint_is_told_as_lost(engine: Engine) -> None:
    def work() -> None:
        with engine.begin() as connection:
            with contextlib.suppress(SQLAlchemyError), connection.begin_nested():
                _end(connection, engine)
            connection.execute(text("SELECT 1"))

    with pytest.raises(PendingRollbackError) as lost:
        work()
    assert is_lost(lost.value)
