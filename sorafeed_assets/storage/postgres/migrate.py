"""Applying a database's pending migrations."""

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.storage.postgres.indexes import build_missing_indexes, missing_indexes
from sorafeed_assets.storage.postgres.locks import alone

MIGRATION_LOCK: Final = 0x50FA_FEED
_MIN_SERVER_VERSION: Final = 180000


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def migrate(engine: Engine) -> tuple[str | None, str]:
    """Apply every pending migration; a second caller waits for the first.

    A database that is current is only read, so that any number of processes may start at once,
    also behind a pooler.

    Returns:
        The revision before and after.

    Raises:
        SetupError: the server is too old, or the database's locale is not the one
            on which the match rule is based.
    """
    with engine.connect() as connection:
        _check_server(connection)
        head = head_revision(connection)
        if current_revision(connection) == head and not missing_indexes(connection):
            return head, head
    with alone(engine, MIGRATION_LOCK), engine.connect() as connection:
        try:
            connection.execute(text("SET statement_timeout = 0"))
            connection.commit()
            before = current_revision(connection)
            connection.commit()
            command.upgrade(_config(connection), "head")
            connection.commit()
            build_missing_indexes(engine)
            return before, head
        finally:
            # The session has no time-out, so it is closed.
            connection.invalidate()


def current_revision(connection: Connection) -> str | None:
    """The database's revision; None before the first migration."""
    return MigrationContext.configure(connection).get_current_revision()


def head_revision(connection: Connection) -> str:
    """The revision that this code expects."""
    head = ScriptDirectory.from_config(_config(connection)).get_current_head()
    if head is None:
        raise SetupError("the package has no migrations; install it again")
    return head


def _check_server(connection: Connection) -> None:
    version, encoding, provider, locale = connection.execute(
        text(
            "SELECT current_setting('server_version_num')::int,"
            " pg_encoding_to_char(encoding), datlocprovider, datlocale"
            " FROM pg_database WHERE datname = current_database()"
        )
    ).one()
    if version < _MIN_SERVER_VERSION:
        raise SetupError(f"PostgreSQL 18 or later is needed; this server is {version // 10000}")
    if (encoding, provider, locale) != ("UTF8", "b", "C.UTF-8"):
        raise SetupError(
            "the database must be in UTF8 with the builtin locale C.UTF-8, so that searching"
            " ignores case by one rule; create it with: CREATE DATABASE sorafeed TEMPLATE template0"
            " ENCODING 'UTF8' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'"
        )
