"""The migrations build exactly the tables, and recover from interruption."""

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from threading import Event
from types import SimpleNamespace

import psycopg
import pytest
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.launch.embedded import EmbeddedPostgres, postgres_program
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.postgres import locks, migrations, schema_objects
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets.storage.postgres.indexes import missing_indexes
from sorafeed_assets.storage.postgres.migrate import (
    MIGRATION_LOCK,
    current_revision,
    head_revision,
    knows_revision,
    migrate,
)
from sorafeed_assets.storage.postgres.tables import concurrent_indexes, metadata


def _schema(url: str) -> list[str]:
    dump = subprocess.run(
        [str(postgres_program("pg_dump")), "--schema-only", "--exclude-table=alembic_version", url],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [line for line in dump.splitlines() if not line.startswith(("\\", "--"))]


def test_migrations_equal_the_tables(postgres: EmbeddedPostgres, database_url: str) -> None:
    url = postgres.create_database("from_tables")
    engine = create_database_engine(url, Settings())
    with engine.begin() as connection:
        cursor = connection.connection.cursor()
        for script in schema_objects.BEFORE_TABLES:
            cursor.execute(script)
        metadata.create_all(connection)
        for script in schema_objects.AFTER_TABLES:
            cursor.execute(script)
    engine.dispose()
    assert _schema(database_url) == _schema(url)


def test_migrating_again_changes_nothing(engine: Engine) -> None:
    head = head_revision()
    assert migrate(engine) == (head, head)


def test_revisions_are_read_without_alembic_as_alembic_reads_them(engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [head_revision()]
    assert all(knows_revision(script.revision) for script in scripts.walk_revisions())
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert context.get_current_revision() == current_revision(connection) == head_revision()


def test_the_schema_of_a_later_release_is_refused(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(SetupError, match="the database's schema is 9999, newer than that of this"):
        migrate(engine)


def _interrupt_an_index(engine: Engine) -> None:
    """What a cancelled CREATE INDEX CONCURRENTLY leaves behind."""
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass(:name)"),
            {"name": "sora_posts_search_idx"},
        )


def test_one_that_has_waited_for_the_lock_builds_indexes(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    _interrupt_an_index(engine)
    polls, has_polled = count(1), Event()

    def sleep(seconds: float) -> None:
        # Psycopg prepares a statement that it has executed five times, and that keeps a portal.
        if next(polls) > 8:
            has_polled.set()
        time.sleep(seconds)

    monkeypatch.setattr(locks, "time", SimpleNamespace(sleep=sleep))
    with ThreadPoolExecutor(1) as threads:
        with locks.alone(engine, MIGRATION_LOCK):
            migrating = threads.submit(migrate, engine)
            assert has_polled.wait(120)
            assert not migrating.done()
        migrating.result(120)
    with engine.connect() as connection:
        assert missing_indexes(connection) == []


def test_a_current_database_is_only_read(engine: Engine) -> None:
    with locks.alone(engine, MIGRATION_LOCK):
        before, after = migrate(engine)
    assert before == after


def test_an_interrupted_index_build_is_built_again(engine: Engine) -> None:
    _interrupt_an_index(engine)
    migrate(engine)
    with engine.connect() as connection:
        invalid = connection.scalars(
            text("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid")
        ).all()
        names = connection.scalars(text("SELECT indexname FROM pg_indexes")).all()
    assert invalid == []
    assert {str(index.name) for index in concurrent_indexes} <= set(names)


def test_a_database_of_another_locale_is_refused(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(
            "CREATE DATABASE other_locale TEMPLATE template0 LOCALE_PROVIDER libc LOCALE 'C'"
        )
    engine = create_database_engine(postgres.url("other_locale"), Settings())
    with pytest.raises(SetupError, match=r"C\.UTF-8"):
        migrate(engine)
    engine.dispose()


def test_sessions_have_time_outs(engine: Engine) -> None:
    with engine.connect() as connection:
        shown = {
            name: connection.scalar(text(f"SHOW {name}"))
            for name in (
                "statement_timeout",
                "lock_timeout",
                "idle_in_transaction_session_timeout",
                "timezone",
            )
        }
    assert shown == {
        "statement_timeout": "10min",
        "lock_timeout": "10s",
        "idle_in_transaction_session_timeout": "2min",
        "timezone": "UTC",
    }


def test_sessions_have_time_outs_after_a_migration(engine: Engine) -> None:
    _interrupt_an_index(engine)
    migrate(engine)
    with ExitStack() as stack:
        sessions = [stack.enter_context(engine.connect()) for _ in range(3)]
        shown = [
            (
                session.scalar(text("SHOW statement_timeout")),
                session.scalar(text("SHOW lock_timeout")),
            )
            for session in sessions
        ]
    assert set(shown) == {("10min", "10s")}


def test_a_migration_gives_way_to_a_transaction_that_holds_its_table(
    postgres: EmbeddedPostgres,
) -> None:
    engine = create_database_engine(postgres.create_database("held"), Settings())
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num varchar(32))"))
    with ThreadPoolExecutor(1) as threads, engine.connect() as holding:
        # Its rows can be read, and not written.
        holding.execute(text("LOCK TABLE alembic_version IN SHARE MODE"))
        migrating = threads.submit(migrate, engine)
        with pytest.raises(TimeoutError):
            migrating.result(2)
        holding.rollback()
        before, _ = migrating.result(120)
    engine.dispose()
    assert before is None
