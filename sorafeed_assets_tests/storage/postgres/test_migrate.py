"""The migrations build exactly the tables, and recover from interruption."""

import subprocess
from contextlib import ExitStack

import psycopg
import pytest
from sqlalchemy import Engine, text

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.launch.embedded import EmbeddedPostgres, postgres_program
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.postgres import schema_objects
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets.storage.postgres.migrate import head_revision, migrate
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
        connection.execute(text(schema_objects.EXTENSIONS))
        connection.execute(text(schema_objects.SLICES))
        metadata.create_all(connection)
        cursor = connection.connection.cursor()
        for script in (
            schema_objects.FUNCTIONS,
            schema_objects.TRIGGERS,
            schema_objects.COUNTS_VIEW,
            schema_objects.SCANNER,
        ):
            cursor.execute(script)
    engine.dispose()
    assert _schema(database_url) == _schema(url)


def test_migrating_again_changes_nothing(engine: Engine) -> None:
    with engine.connect() as connection:
        head = head_revision(connection)
    assert migrate(engine) == (head, head)


def test_an_interrupted_index_build_is_built_again(engine: Engine) -> None:
    name = "sora_posts_search_idx"
    with engine.begin() as connection:
        # What a cancelled CREATE INDEX CONCURRENTLY leaves behind.
        connection.execute(
            text("UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass(:name)"),
            {"name": name},
        )
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
