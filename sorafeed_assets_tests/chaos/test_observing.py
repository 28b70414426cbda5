"""Waits for locks are seen by the server's own account, and short ones are not reported."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Event

import psycopg
from sqlalchemy import Engine, text

from sorafeed_assets.chaos.observing import Answering, Waits
from sorafeed_assets_tests.cli.running import wait_until
from sorafeed_assets_tests.wall import add_display


@contextmanager
def _observed(engine: Engine) -> Iterator[Waits]:
    waits, stop = Waits(engine), Event()
    with ThreadPoolExecutor(1) as pool:
        observing = pool.submit(waits.observe, stop)
        try:
            yield waits
        finally:
            stop.set()
            observing.result(60)


def test_a_long_wait_is_seen_with_its_holder(engine: Engine, database_url: str) -> None:
    add_display(engine, "AAAAA1")
    update = "UPDATE displays SET name = 'x' WHERE id = 'AAAAA1'"

    def wait() -> None:
        with psycopg.connect(database_url, application_name="a player") as connection:
            connection.execute(update)

    with _observed(engine) as waits, ThreadPoolExecutor(1) as pool:
        with psycopg.connect(database_url, application_name="a holder") as holder:
            holder.execute(update)
            waiting = pool.submit(wait)
            wait_until(lambda: waits.long("a player"), "the wait")
        waiting.result(60)
        (found,) = waits.long("a player")
    assert found.wait.query == update
    assert found.wait.held_by == ("a holder",)
    assert found.wait.held_for == (update,)
    assert waits.long("a scanner") == []


def test_without_a_lock_there_is_no_wait(engine: Engine) -> None:
    with _observed(engine) as waits:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_sleep(0.3)"))
        assert waits.long("") == []


def test_reads_count_only_while_a_process_answers() -> None:
    away, hung = range(20, 30), range(50, 60)
    answering = Answering(
        [(moment / 10, 0 if moment in away else 2, int(moment in hung)) for moment in range(90)]
    )
    calls = [(0.5, 1.25), (1.5, 4.0), (3.5, 4.0), (5.0, 6.5)]
    assert answering.longest(calls, with_hanging=False) == 0.75
    assert answering.longest(calls, with_hanging=True) == 1.5
    assert answering.longest([(1.5, 4.0)], with_hanging=True) == 0.0
