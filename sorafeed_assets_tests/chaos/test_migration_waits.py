"""Migrating a filled database delays neither the players nor the scanner of the release before."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Final

import pytest
from alembic import command
from sqlalchemy import Engine, text

from sorafeed_assets.chaos.observing import Waits
from sorafeed_assets.launch.embedded import EmbeddedPostgres
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets.storage.postgres.migrate import (
    alembic_config,
    current_revision,
    head_revision,
    migrate,
)
from sorafeed_assets_tests.cli.running import wait_until

_BEFORE: Final = "0019"
"""The revision of the release before; see `storage/postgres/test_release_before.py`."""
_PLAYERS: Final = "sorafeed api change"
_SCANNER: Final = "sorafeed scanner"
_FILL: Final = """
INSERT INTO sora_posts (id, text, posted_at, indexed_at, width, height)
SELECT 'post_' || n, 'A cat video number ' || n, now() - n * interval '1 minute',
    now() - n * interval '1 minute', 640, 352 FROM generate_series(1, 20000) AS n;
INSERT INTO displays (id, name) SELECT 'WALL' || lpad(n::text, 2, '0'), 'wall'
FROM generate_series(0, 15) AS n;
INSERT INTO video_history (display_id, video_id, loop_iteration, played_at, timeline_video_id)
SELECT 'WALL' || lpad((n % 16)::text, 2, '0'), 'post_' || 1 + n % 20000, n / 100,
    now() - n * interval '10 seconds', gen_random_uuid() FROM generate_series(1, 100000) AS n;
"""
# What a player's play and a scanner's post write, in the order in which they lock.
_PLAY: Final = (
    "SELECT id FROM displays WHERE id = 'WALL00' FOR UPDATE",
    (
        "INSERT INTO video_history (display_id, video_id, loop_iteration, timeline_video_id)"
        " VALUES ('WALL00', 'post_1', 0, gen_random_uuid())"
    ),
    "UPDATE displays SET timeline_position = timeline_position + 1 WHERE id = 'WALL00'",
)
_SCAN: Final = (
    (
        "INSERT INTO sora_posts (id, text, posted_at, indexed_at, width, height)"
        " VALUES (gen_random_uuid()::text, 'A new cat video', now(), now(), 640, 352)"
    ),
)


@pytest.fixture
def filled(postgres: EmbeddedPostgres) -> Iterator[Engine]:
    """A filled database of the release before."""
    name = "filled_before"
    engine = create_database_engine(postgres.create_database(name), Settings())
    with engine.connect() as connection:
        command.upgrade(alembic_config(connection), _BEFORE)
        connection.commit()
    with engine.begin() as connection:
        for statement in _FILL.split(";")[:-1]:
            connection.execute(text(statement))
    yield engine
    engine.dispose()
    postgres.drop_database(name)


class _Writer:
    """Sends its statements, a transaction each time, until it is stopped."""

    def __init__(self, engine: Engine, application: str, statements: Sequence[str]) -> None:
        url = engine.url.render_as_string(hide_password=False)
        self._engine = create_database_engine(url, Settings(), application=application)
        self._statements = statements
        self.written = 0

    def write_until(self, stop: Event) -> None:
        """Write; an error ends it."""
        while not stop.wait(0.01):
            with self._engine.begin() as connection:
                for statement in self._statements:
                    connection.execute(text(statement))
            self.written += 1
        self._engine.dispose()


def _long_waits(engine: Engine, work: Callable[[], object]) -> tuple[list[str], int]:
    """The long waits of players and a scanner during work, and how often they wrote meanwhile."""
    waits, stop = Waits(engine), Event()
    writers = [_Writer(engine, _PLAYERS, _PLAY), _Writer(engine, _SCANNER, _SCAN)]
    with ThreadPoolExecutor() as pool:
        running = [pool.submit(waits.observe, stop)]
        running += [pool.submit(writer.write_until, stop) for writer in writers]
        try:
            wait_until(lambda: all(writer.written for writer in writers), "the first writes")
            before = min(writer.written for writer in writers)
            work()
            written = min(writer.written for writer in writers) - before
        finally:
            stop.set()
        for each in running:
            each.result(60)
    found = waits.long(_PLAYERS, _SCANNER)
    return [f"{long.wait.query[:80]} waited for {long.wait.held_by}" for long in found], written


def test_migrating_a_filled_database_delays_nobody(filled: Engine) -> None:
    waited, written = _long_waits(filled, lambda: migrate(filled))
    with filled.connect() as connection:
        assert current_revision(connection) == head_revision() > _BEFORE
    assert written
    assert waited == []


def test_a_migration_that_holds_a_lock_is_found(filled: Engine) -> None:
    def work() -> None:
        with filled.begin() as connection:
            connection.execute(text("ALTER TABLE video_history ADD COLUMN colour text"))
            connection.execute(text("SELECT pg_sleep(0.5)"))

    waited, _ = _long_waits(filled, work)
    assert any("video_history" in line for line in waited)
