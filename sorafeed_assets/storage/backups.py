"""SQL of backups: one moment of two databases, what a target holds, and the backups made."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final, NamedTuple

from psycopg import sql
from sqlalchemy import Connection, Engine, text

from sorafeed_assets.storage.postgres.copy import driver_of
from sorafeed_assets.storage.postgres.locks import LockSpace, lock
from sorafeed_assets.storage.postgres.retry import retried

_INSERT: Final = text("""
INSERT INTO backups (made_at, folder, bytes, seconds)
VALUES (:made_at, :folder, :bytes, :seconds)
""")
_LAST: Final = text("""
SELECT made_at, folder, bytes, seconds FROM backups ORDER BY made_at DESC LIMIT 1
""")
_ASSETS: Final = text("SELECT DISTINCT asset FROM lineage_records ORDER BY asset")
_EXPORT: Final = text("SELECT pg_export_snapshot(), clock_timestamp()")
_VERSION: Final = text("SELECT current_setting('server_version_num')::integer")
_SESSIONS: Final = text("""
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
""")
_TABLES: Final = text("""
SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname IN ('public', 'scanner')
    AND c.relname <> ALL(CAST(:ignored AS text[]))
ORDER BY 1, 2
""")
# Rows that an instance of Dagster has before anything happened.
_NO_DATA: Final = ("alembic_version", "secondary_indexes", "instance_info", "backups")

CLEAR: Final = """
DROP SCHEMA IF EXISTS scanner CASCADE;
DROP SCHEMA public CASCADE;
CREATE SCHEMA public AUTHORIZATION pg_database_owner;
GRANT USAGE ON SCHEMA public TO PUBLIC;
"""
"""Removes everything of a database; for psql, in the transaction that restores it."""
_HAS_TABLES: Final = text(
    "SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace)"
)


class Backup(NamedTuple):
    """A complete backup: the moment whose rows it has, its folder, bytes, and seconds it took."""

    made_at: datetime
    folder: str
    bytes: int
    seconds: float


class Moment(NamedTuple):
    """One moment of both databases.

    Attributes:
        at: the server's time.
        ours: the snapshot of the project's database, for pg_dump.
        dagster: that of Dagster's.
    """

    at: datetime
    ours: str
    dagster: str


@contextmanager
def one_moment(engine: Engine, dagster: Engine) -> Iterator[Moment]:
    """Hold a snapshot of each database while the block lasts, in which both say the same.

    Nothing is given to Dagster between the two, so what one has as recorded the other has too.
    """
    with engine.connect() as ours, dagster.connect() as theirs:
        yield _export(engine, ours, theirs)


@retried
def _export(engine: Engine, ours: Connection, theirs: Connection) -> Moment:
    for connection in (ours, theirs):
        connection.rollback()
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
    with engine.begin() as recorder:
        lock(recorder, LockSpace.RECORDER, list(recorder.scalars(_ASSETS)))
        snapshot, at = ours.execute(_EXPORT).one()
        return Moment(at, snapshot, theirs.execute(_EXPORT).one()[0])


def server_version(connection: Connection) -> int:
    """The server's version, such as 180006."""
    return int(connection.scalar(_VERSION) or 0)


def other_sessions(connection: Connection) -> int:
    """How many other clients are connected to the database."""
    return int(connection.scalar(_SESSIONS) or 0)


def filled_tables(connection: Connection) -> list[str]:
    """The tables that have rows; those that an unused database has too are left out."""
    found = connection.execute(_TABLES, {"ignored": list(_NO_DATA)}).all()
    query = sql.SQL("SELECT FROM {} LIMIT 1")
    driver = driver_of(connection)
    return [
        name
        for schema, name in found
        if driver.execute(query.format(sql.Identifier(schema, name))).rowcount
    ]


def has_tables(connection: Connection) -> bool:
    """Whether the database has any table."""
    return bool(connection.scalar(_HAS_TABLES))


def store_backup(connection: Connection, backup: Backup) -> None:
    """Store that a backup is complete."""
    connection.execute(_INSERT, backup._asdict())


def last_backup(connection: Connection) -> Backup | None:
    """The newest backup; None when none was ever made."""
    found = connection.execute(_LAST).one_or_none()
    return None if found is None else Backup(*found)
