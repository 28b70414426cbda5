"""The clock of a database, which a test can move."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, LiteralString

import psycopg
from psycopg import sql

# Found before PostgreSQL's own function by every statement that does not name a schema.
_MAKE: Final[LiteralString] = """
CREATE SCHEMA moved;
CREATE TABLE moved.clock (ahead interval NOT NULL);
INSERT INTO moved.clock VALUES (interval '0');
CREATE FUNCTION moved.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
    AS 'SELECT pg_catalog.clock_timestamp() + ahead FROM moved.clock';
"""
_SEARCH: Final[LiteralString] = "ALTER DATABASE {} SET search_path = moved, pg_catalog, public"


@dataclass(frozen=True, slots=True)
class Clock:
    """Moves `clock_timestamp()`, by which timetables switch, for connections made from now on."""

    url: str

    def start(self) -> None:
        """Put the clock into the database, before anything else connects."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(_MAKE)
            name = sql.Identifier(connection.info.dbname)
            connection.execute(sql.SQL(_SEARCH).format(name))

    def now(self) -> datetime:
        """What the clock shows."""
        with psycopg.connect(self.url) as connection:
            row = connection.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        found: datetime = row[0]
        return found

    def move(self, ahead: timedelta) -> None:
        """Set how far the clock is ahead of the real time."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("UPDATE moved.clock SET ahead = %s", [ahead])
