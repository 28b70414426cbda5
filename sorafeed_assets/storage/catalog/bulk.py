"""Storing many rows of a table at once, by COPY; existing rows are kept."""

from collections.abc import Iterable, Sequence
from typing import Final

import psycopg
from psycopg import sql
from sqlalchemy import Connection, Table, func, select, text

from sorafeed_assets.storage.postgres.copy import copy_rows, driver_of

_LOCK: Final = 0x50FA_5EED

_STAGE: Final = sql.SQL("""
CREATE TEMPORARY TABLE staged_rows ON COMMIT DROP AS SELECT {columns} FROM {table} WITH NO DATA
""")
_INSERT_STAGED: Final = sql.SQL("""
INSERT INTO {table} ({columns}) SELECT {columns} FROM staged_rows ON CONFLICT (id) DO NOTHING
""")
_DROP_STAGED: Final = "DROP TABLE staged_rows"


def lock_bulk(connection: Connection) -> None:
    """Acquire the lock of bulk loads, held until the transaction ends."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def count_stored(connection: Connection, table: Table, ids: Sequence[str]) -> int:
    """How many rows with these ids are stored."""
    statement = select(func.count()).select_from(table).where(table.c.id == func.any(list(ids)))
    return connection.scalar(statement) or 0


def copy_new(
    connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> int | None:
    """Store rows, twice as fast as `merge_new`; returns how many, or None if one exists."""
    with connection.begin_nested() as savepoint:
        try:
            return copy_rows(connection, table.name, columns, rows)
        except psycopg.errors.UniqueViolation:
            savepoint.rollback()
            return None


def merge_new(
    connection: Connection, table: Table, columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> int:
    """Store the rows that do not exist; returns how many."""
    names = {
        "table": sql.Identifier(table.name),
        "columns": sql.SQL(", ").join(map(sql.Identifier, columns)),
    }
    driver = driver_of(connection)
    driver.execute(_STAGE.format(**names))
    copy_rows(connection, "staged_rows", columns, rows)
    stored = driver.execute(_INSERT_STAGED.format(**names)).rowcount
    # A transaction may merge several times.
    driver.execute(_DROP_STAGED)
    return stored
