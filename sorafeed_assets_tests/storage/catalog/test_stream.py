"""A day's text is read in chunks of bounded size, one of them in advance."""

from collections.abc import Generator
from contextlib import closing
from datetime import date
from threading import Event, current_thread

import pytest
from psycopg.pq import TransactionStatus
from sqlalchemy import Engine

from sorafeed_assets.storage.catalog.stream import read_ahead, stream_day
from sorafeed_assets.storage.postgres.copy import driver_of
from sorafeed_assets_tests.catalogue import run

CHUNK = 16 * 2**20
LENGTH = 10_000


def test_a_large_day_comes_in_bounded_chunks(engine: Engine) -> None:
    run(
        engine,
        "INSERT INTO sora_posts (id, text, posted_at, indexed_at)"
        " SELECT 'p' || n, repeat('A', :length), '2026-03-01+00', '2026-03-01 12:00+00'"
        " FROM generate_series(1, 4000) n",
        length=LENGTH,
    )
    with engine.connect() as connection:
        sizes = [
            (len(chunk), len(chunk.data)) for chunk in stream_day(connection, date(2026, 3, 1))
        ]
    assert sum(posts for posts, _ in sizes) == 4_000
    assert len(sizes) == 3
    assert max(size for _, size in sizes) < CHUNK + 2 * LENGTH


def test_the_next_item_is_made_while_one_is_used() -> None:
    made = Event()

    def items() -> Generator[int, None, None]:
        yield 1
        made.set()
        yield 2

    with closing(read_ahead(items())) as ahead:
        assert next(ahead) == 1
        assert made.wait(60)
        assert list(ahead) == [2]


def test_what_the_thread_meets_is_raised_where_the_items_are_used() -> None:
    def items() -> Generator[int, None, None]:
        yield 1
        raise ValueError("the second is wrong")

    ahead = read_ahead(items())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="the second is wrong"):
        next(ahead)


def test_an_end_before_the_last_item_ends_the_thread_and_the_copy(
    engine: Engine,
) -> None:
    run(
        engine,
        "INSERT INTO sora_posts (id, text, posted_at, indexed_at)"
        " SELECT 'p' || n, repeat('A', :length), '2026-03-01+00', '2026-03-01 12:00+00'"
        " FROM generate_series(1, 8000) n",
        length=LENGTH,
    )
    threads = []
    with engine.connect() as connection:

        def chunks() -> Generator[int, None, None]:
            for chunk in stream_day(connection, date(2026, 3, 1)):
                threads.append(current_thread())
                yield len(chunk)

        with closing(read_ahead(chunks())) as ahead:
            assert next(ahead) > 0
        assert driver_of(connection).info.transaction_status is TransactionStatus.INERROR
        assert len(threads) == 2
        assert not any(thread.is_alive() for thread in threads)
    # An interrupted COPY aborts its transaction, like any cancelled statement.
    with engine.connect() as connection:
        posts = sum(len(chunk) for chunk in stream_day(connection, date(2026, 3, 1)))
    assert posts == 8_000
