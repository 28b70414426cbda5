"""Connections are kept, cost no query to check, and are replaced when the server has ended them."""

import pytest
from sqlalchemy import Engine, text

from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.postgres.engine import create_database_engine, ping
from sorafeed_assets_tests.catalogue import run


@pytest.fixture
def pids(engine: Engine, settings: Settings) -> tuple[Engine, list[int]]:
    """An engine with three idle connections, and the servers' processes behind them."""
    pooled = create_database_engine(str(settings.database_url), settings)
    connections = [pooled.connect() for _ in range(3)]
    found = [c.scalar(text("SELECT pg_backend_pid()")) for c in connections]
    for connection in connections:
        connection.close()
    return pooled, [int(pid) for pid in found if pid is not None]


def test_checking_a_connection_asks_the_server_nothing(
    engine: Engine, pids: tuple[Engine, list[int]]
) -> None:
    pooled, known = pids
    last = "SELECT pid, query_start, state_change FROM pg_stat_activity WHERE pid = ANY(:pids)"
    before = sorted(run(engine, last, pids=known))
    for _ in range(3):
        with pooled.connect() as connection:
            assert not connection.closed
    assert sorted(run(engine, last, pids=known)) == before
    with pooled.connect() as connection:
        assert connection.scalar(text("SELECT pg_backend_pid()")) in known
    pooled.dispose()


def test_connections_that_the_server_ended_are_replaced(
    engine: Engine, pids: tuple[Engine, list[int]]
) -> None:
    pooled, known = pids
    for pid in known:
        run(engine, "SELECT pg_terminate_backend(:pid, 10000)", pid=pid)
    for _ in range(4):
        ping(pooled)
    connections = [pooled.connect() for _ in range(3)]
    for connection in connections:
        assert connection.scalar(text("SELECT pg_backend_pid()")) not in known
        connection.close()
    pooled.dispose()


def test_a_connection_that_was_closed_here_is_replaced(pids: tuple[Engine, list[int]]) -> None:
    pooled, _ = pids
    held = pooled.raw_connection()
    driver = held.driver_connection
    held.close()
    assert driver is not None
    driver.close()
    ping(pooled)
    pooled.dispose()
