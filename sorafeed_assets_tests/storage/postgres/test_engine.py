"""Connections are kept, cost no query to check, and are replaced when the server has ended them."""

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from sorafeed_assets.domain.catalog.search import Format, parse_query
from sorafeed_assets.domain.playlists.playlist import FetchMode
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.catalog.matches import MatchQuery
from sorafeed_assets.storage.catalog.pages import read_page
from sorafeed_assets.storage.catalog.word_search import find_by_words
from sorafeed_assets.storage.postgres.engine import create_database_engine, ping
from sorafeed_assets.storage.postgres.locks import LockSpace, try_lock
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.wall import add_posts


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


_PREPARED = """
SELECT sum(generic_plans), sum(custom_plans) FROM pg_prepared_statements
WHERE statement LIKE 'SELECT count(*) FROM displays%'
"""


def test_a_rollback_keeps_prepared_statements_and_undoes_changes(
    engine: Engine, settings: Settings
) -> None:
    own = create_database_engine(str(settings.database_url), settings, pool_size=1)
    for turn in range(12):
        with own.connect() as connection:
            count = text("SELECT count(*) FROM displays WHERE id = :id")
            assert connection.scalar(count, {"id": "AAAAA1"}) == 0
            connection.execute(
                text("INSERT INTO displays (id, name) VALUES ('AAAAA1', :name)"),
                {"name": f"Display {turn}"},
            )
    # It is prepared at the sixth time.
    with own.connect() as connection:
        assert sum(connection.execute(text(_PREPARED)).one()) == 7
    own.dispose()


def test_after_an_error_or_a_lost_session_a_rollback_ends_the_transaction(
    engine: Engine, settings: Settings
) -> None:
    own = create_database_engine(str(settings.database_url), settings, pool_size=1)
    with own.connect() as connection:
        with pytest.raises(DBAPIError):
            connection.execute(text("SELECT 1 / 0"))
        connection.rollback()
        assert connection.scalar(text("SELECT 1")) == 1
        pid = connection.scalar(text("SELECT pg_backend_pid()"))
        run(engine, "SELECT pg_terminate_backend(:pid, 10000)", pid=pid)
        with pytest.raises(DBAPIError):
            connection.execute(text("SELECT 1"))
        connection.rollback()
    ping(own)
    own.dispose()


def test_statements_of_plays_are_planned_once(settings: Settings, engine: Engine) -> None:
    own = create_database_engine(str(settings.database_url), settings, pool_size=1)
    count = text("SELECT count(*) FROM displays WHERE id = :id")
    for _ in range(12):
        with own.begin() as connection:
            try_lock(connection, [LockSpace.DISPLAY], ["AAAAA1"], plans_once=True)
            connection.execute(count, {"id": "AAAAA1"})
    with own.connect() as connection:
        assert connection.execute(text(_PREPARED)).one() == (7, 0)
        assert connection.scalar(text("SHOW plan_cache_mode")) == "auto"
    own.dispose()


def test_a_search_is_planned_for_its_words_each_time(engine: Engine, settings: Settings) -> None:
    add_posts(engine, "cat", 3)
    own = create_database_engine(str(settings.database_url), settings, pool_size=1)
    query = MatchQuery(parse_query("cat"), Format.MIXED, FetchMode.NEWEST)
    with own.connect() as connection:
        for _ in range(12):
            assert len(read_page(connection, query, 5)) == 3
            assert len(find_by_words(connection, "cat", 5)) == 3
        prepared = connection.scalars(text("SELECT statement FROM pg_prepared_statements")).all()
    assert not [statement for statement in prepared if "sora_posts" in statement]
    own.dispose()
