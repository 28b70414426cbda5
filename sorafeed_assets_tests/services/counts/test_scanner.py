"""Inserts of posts never wait for a lock, whatever other work runs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Engine, text

from sorafeed_assets.services.counts.pools import refresh_candidates
from sorafeed_assets.services.counts.refresh import CountsRun
from sorafeed_assets.services.counts.terms import watch_term
from sorafeed_assets.services.counts.totals import refresh_totals
from sorafeed_assets.services.flags import FlagValues
from sorafeed_assets.services.timelines.candidate_book import CandidateBook
from sorafeed_assets.services.timelines.rebuild import rebuild
from sorafeed_assets.storage.postgres.engine import snapshot
from sorafeed_assets.storage.postgres.indexes import build_missing_indexes
from sorafeed_assets_tests.wall import activate_pending, add_display, add_playlist, add_posts

_WAITING = text(
    "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX%' AND wait_event_type ="
    " 'Lock' AND datname = current_database()"
)
_INSERT = text(
    "INSERT INTO sora_posts (id, text, posted_at) SELECT 'scanned-' || n, 'a cat', now()"
    " FROM generate_series(1, 100) AS n"
)


def _scan(engine: Engine) -> None:
    """Insert as the scanner does; fails if it has to wait for a lock."""
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL lock_timeout = '1s'"))
        connection.execute(_INSERT)
        connection.execute(text("UPDATE sora_posts SET text = 'a dog' WHERE id = 'scanned-1'"))
        connection.execute(text("DELETE FROM sora_posts WHERE id = 'scanned-2'"))


@pytest.mark.parametrize("recount", [False, True])
def test_while_counts_are_applied(engine: Engine, recount: bool) -> None:  # noqa: FBT001  # pytest's
    add_posts(engine, "cat", 20)
    watch_term(engine, "cat")
    with snapshot(engine) as connection:
        CountsRun(connection, 5, None).refresh(None, recount=False)
    add_posts(engine, "cat", 20, prefix="later")
    with snapshot(engine) as connection:
        refresh = CountsRun(connection, 5, None).refresh(None, recount=recount)
        assert refresh.changes == 20
        _scan(engine)  # the refresh is done but not committed, so it holds all its locks
    refresh_totals(engine)
    refresh_candidates(engine, pool_size=5)


def test_while_timelines_are_published(engine: Engine) -> None:
    add_posts(engine, "cat", 20)
    add_playlist(engine, add_display(engine, "AAAAAA"), [("cat", 5)])
    activate_pending(engine)
    with engine.begin() as connection:
        assert "AAAAAA" in rebuild(connection, CandidateBook(5), ["AAAAAA"], 5, flags=FlagValues())
        _scan(engine)


@contextmanager
def _index_build_that_waits(engine: Engine) -> Iterator[None]:
    """An index build in progress: it waits for a transaction that began before it."""
    with engine.begin() as connection:
        connection.execute(text("DROP INDEX sora_posts_search_idx"))
    with snapshot(engine) as old:
        # A row lock gives the old transaction an id, which the build waits for.
        old.execute(text("CREATE TEMPORARY TABLE held ON COMMIT DROP AS SELECT 1"))
        old.execute(text("UPDATE sora_posts SET gif_url = 'x' WHERE id = 'held'"))
        building = threading.Thread(target=build_missing_indexes, args=(engine,))
        building.start()
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as watch:
            for _ in range(3_000):
                if watch.scalar(_WAITING):
                    break
                building.join(0.02)
            assert watch.scalar(_WAITING) == 1
        yield
    building.join()


def test_while_an_index_is_built(engine: Engine) -> None:
    add_posts(engine, "cat", 20)
    with _index_build_that_waits(engine):
        _scan(engine)
    with engine.connect() as connection:
        valid = connection.scalar(
            text(
                "SELECT indisvalid FROM pg_index"
                " WHERE indexrelid = 'sora_posts_search_idx'::regclass"
            )
        )
    assert valid is True
