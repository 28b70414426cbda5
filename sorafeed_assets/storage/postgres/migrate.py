"""Applying a database's pending migrations."""

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from psycopg.errors import InsufficientPrivilege, LockNotAvailable
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.storage.postgres.indexes import build_missing_indexes, missing_indexes
from sorafeed_assets.storage.postgres.locks import alone

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATION_LOCK: Final = 0x50FA_FEED
_MIN_SERVER_VERSION: Final = 180000
_LOCK_TIMEOUT: Final = "100ms"
_PAUSE_SECONDS: Final = 0.5
_LONGEST_SECONDS: Final = 600.0
_REVISION: Final = re.compile(
    r'^revision = "(\w+)"\ndown_revision = (?:"(\w+)"|None)$', re.MULTILINE | re.ASCII
)
_MIGRATIONS: Final = Path(__file__).parent / "migrations"


def alembic_config(connection: Connection) -> "Config":
    """Alembic's configuration for a connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def migrate(engine: Engine, *, with_indexes: bool = True) -> tuple[str | None, str]:
    """Apply every pending migration, and what it means for the roles; a second caller waits.

    A database that is current is only read, so that any number of processes may start at once,
    also behind a pooler. Without ``with_indexes`` the catalogue's missing indexes stay missing,
    for a load that builds them at its end.

    Returns:
        The revision before and after.

    Raises:
        SetupError: the server is too old, the schema is newer than this release, or the
            database's locale is not the one on which the match rule is based.
    """
    with engine.connect() as connection:
        _check_server(connection)
        head = head_revision()
        current = current_revision(connection)
        if current == head and not (with_indexes and missing_indexes(connection)):
            return head, head
        if current is not None and not knows_revision(current):
            raise SetupError(
                f"the database's schema is {current}, newer than that of this release, {head};"
                " install the release that migrated it, or restore a backup made before"
            )
    # Imported here, because most databases are current.
    from sorafeed_assets.storage.postgres.roles import act_as_owner, state_grants

    with alone(engine, MIGRATION_LOCK), engine.connect() as connection:
        try:
            connection.execute(text("SET statement_timeout = 0"))
            connection.execute(text(f"SET lock_timeout = '{_LOCK_TIMEOUT}'"))
            act_as_owner(connection)
            connection.commit()
            before = current_revision(connection)
            connection.commit()
            _upgrade(connection)
            state_grants(connection)
            connection.commit()
            if with_indexes:
                build_missing_indexes(engine)
        except (ProgrammingError, InsufficientPrivilege) as error:
            original = error.orig if isinstance(error, ProgrammingError) else error
            if not isinstance(original, InsufficientPrivilege):
                raise
            raise SetupError(
                f"the schema is not {head} yet, and this login may not change it; run"
                " `sorafeed migrate` with that of the owner"
            ) from error
        finally:
            # The session has no time-out, so it is closed.
            connection.invalidate()
    return before, head


def _upgrade(connection: Connection) -> None:
    """Apply the migrations; one that would wait long for a lock is cancelled and retried.

    Statements of players queue behind one that waits for an exclusive lock.
    """
    from alembic import command

    deadline = time.monotonic() + _LONGEST_SECONDS
    while True:
        try:
            command.upgrade(alembic_config(connection), "head")
        except (OperationalError, LockNotAvailable) as error:
            original = error.orig if isinstance(error, OperationalError) else error
            if not isinstance(original, LockNotAvailable):
                raise
            if time.monotonic() > deadline:
                raise SetupError(
                    "a migration waited in vain for a lock that another transaction holds; find it"
                    " in pg_stat_activity, end it, and migrate again"
                ) from error
            connection.rollback()
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def current_revision(connection: Connection) -> str | None:
    """The database's revision; None before the first migration."""
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def head_revision() -> str:
    """The revision that this code expects."""
    known = _revisions()
    heads = known.keys() - known.values()
    if len(heads) != 1:
        raise SetupError(f"the package's migrations end in {len(heads)} heads; install it again")
    return heads.pop()


def knows_revision(revision: str) -> bool:
    """Whether this code can bring a database of that revision to its own."""
    return revision in _revisions()


def _revisions() -> dict[str, str]:
    """Each revision, and the one that it follows, as the migrations' files say it.

    Read as text, because most programs start on a current database and need no Alembic.
    """
    files = (_MIGRATIONS / "versions").glob("*.py")
    found = (_REVISION.search(file.read_text(encoding="utf-8")) for file in files)
    return {each[1]: each[2] or "" for each in found if each}


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
