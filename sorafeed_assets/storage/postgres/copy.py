"""Writing many rows at once by COPY."""

from collections.abc import Iterable, Sequence

import psycopg
from psycopg import sql
from sqlalchemy import Connection


def driver_of(connection: Connection) -> psycopg.Connection:
    """The driver's connection, in the same transaction, for COPY, which SQLAlchemy lacks."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # noqa: S101  # the engine is always psycopg's
    return driver


def copy_rows(
    connection: Connection, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]
) -> int:
    """COPY ``rows`` into ``table`` in the connection's transaction; returns how many."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with driver_of(connection).cursor() as cursor:
        with cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
        return cursor.rowcount
