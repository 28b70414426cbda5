"""Writing posts and creators of the old catalogue into ours, and how far that has come."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

import psycopg
from psycopg import sql
from sqlalchemy import Connection, text

from sorafeed_assets.domain.errors import UnavailableError
from sorafeed_assets.storage.legacy.columns import CREATORS, POSTS
from sorafeed_assets.storage.postgres.copy import driver_of

_LOCK_CURSOR: Final = text("""
SELECT name, indexed_at, id, is_complete, looked_at FROM legacy_cursors
WHERE name = :name FOR UPDATE
""")
_ADD_CURSOR: Final = text("""
INSERT INTO legacy_cursors (name, indexed_at) VALUES (:name, :indexed_at)
ON CONFLICT (name) DO NOTHING
""")
_MOVE_CURSOR: Final = text("""
UPDATE legacy_cursors SET indexed_at = :indexed_at, id = :id WHERE name = :name
""")
_COMPLETE: Final = text("""
UPDATE legacy_cursors SET is_complete = true, looked_at = now() WHERE name = :name
""")
_CURSORS: Final = text("""
SELECT name, indexed_at, id, is_complete, looked_at FROM legacy_cursors
""")
_UNKNOWN: Final = text("""
SELECT asked.id FROM unnest(CAST(:ids AS text[])) AS asked (id)
WHERE NOT EXISTS (SELECT FROM sora_posts AS p WHERE p.id = asked.id)
""")
_STAGED_CREATORS: Final = text("""
SELECT DISTINCT s.creator_id FROM staged_sora_posts AS s
LEFT JOIN creators AS c ON c.id = s.creator_id
WHERE s.creator_id IS NOT NULL AND (c.id IS NULL OR s.indexed_at >= :since)
""")
_LAST_STAGED: Final = text("""
SELECT indexed_at, id, count(*) OVER () AS posts FROM staged_sora_posts
ORDER BY indexed_at DESC, id DESC LIMIT 1
""")
_DROP: Final = sql.SQL("DROP TABLE IF EXISTS {stage}")
_STAGE: Final = sql.SQL("""
CREATE TEMPORARY TABLE {stage} ON COMMIT DROP AS SELECT {columns} FROM {table} WITH NO DATA
""")
_COPY: Final = sql.SQL("COPY {stage} ({columns}) FROM STDIN")
_ADD: Final = sql.SQL("""
INSERT INTO {table} ({columns}) SELECT {columns} FROM {stage} ON CONFLICT (id) DO NOTHING
""")
# Rows that are equal are not written, so that a comparison or a repeated import is no change.
_REPLACE: Final = sql.SQL("""
INSERT INTO {table} AS t ({columns}) SELECT DISTINCT ON (id) {columns} FROM {stage}
ON CONFLICT (id) DO UPDATE SET ({columns}) = ROW({new})
WHERE ({old}) IS DISTINCT FROM ({new})
""")


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a table is copied: up to (``indexed_at``, ``id``)."""

    name: str
    indexed_at: datetime | None
    id: str
    is_complete: bool
    looked_at: datetime | None


class Staged(NamedTuple):
    """Posts of a COPY that are not stored yet: where the last one is, and how many."""

    indexed_at: datetime
    id: str
    posts: int


def lock_cursor(connection: Connection, name: str, first: datetime) -> Cursor:
    """The cursor of a table, locked until the transaction ends; a new one starts at ``first``."""
    connection.execute(_ADD_CURSOR, {"name": name, "indexed_at": first})
    return Cursor(*connection.execute(_LOCK_CURSOR, {"name": name}).one())


def move_cursor(connection: Connection, name: str, indexed_at: datetime, last_id: str) -> None:
    """Store how far a table is copied."""
    values = {"name": name, "indexed_at": indexed_at, "id": last_id}
    connection.execute(_MOVE_CURSOR, values)


def complete(connection: Connection, name: str) -> None:
    """Store that a table was read to its end."""
    connection.execute(_COMPLETE, {"name": name})


def read_cursors(connection: Connection) -> dict[str, Cursor]:
    """All cursors by name."""
    return {row.name: Cursor(*row) for row in connection.execute(_CURSORS)}


def unknown_posts(connection: Connection, ids: Sequence[str]) -> list[str]:
    """Those of ``ids`` that are no posts here."""
    return list(connection.scalars(_UNKNOWN, {"ids": list(ids)}))


def stage_posts(connection: Connection, blocks: Iterable[bytes]) -> Staged | None:
    """Take the bytes of a COPY of posts; None if it has no post."""
    _stage(connection, "sora_posts", POSTS, blocks)
    last = connection.execute(_LAST_STAGED).one_or_none()
    return None if last is None else Staged(*last)


def staged_creators(connection: Connection, since: datetime) -> list[str]:
    """The creators of staged posts that are missing here, or wrote one at or after ``since``."""
    return list(connection.scalars(_STAGED_CREATORS, {"since": since}))


def add_staged_posts(connection: Connection) -> int:
    """Store the staged posts that are missing; returns how many."""
    return _write(connection, _ADD, "sora_posts", POSTS)


def replace_staged_posts(connection: Connection) -> int:
    """Store the staged posts that are missing or differ; returns how many."""
    return _write(connection, _REPLACE, "sora_posts", POSTS)


def replace_creators(connection: Connection, blocks: Iterable[bytes]) -> int:
    """Store the creators of a COPY that are missing or differ; returns how many."""
    _stage(connection, "creators", CREATORS, blocks)
    return _write(connection, _REPLACE, "creators", CREATORS)


def _stage(
    connection: Connection, table: str, columns: Sequence[str], blocks: Iterable[bytes]
) -> None:
    names = _names(table, columns)
    with _our_errors(), driver_of(connection).cursor() as cursor:
        cursor.execute(_DROP.format(**names))
        cursor.execute(_STAGE.format(**names))
        with cursor.copy(_COPY.format(**names)) as copy:
            for block in blocks:
                copy.write(block)


def _write(connection: Connection, statement: sql.SQL, table: str, columns: Sequence[str]) -> int:
    with _our_errors():
        return driver_of(connection).execute(statement.format(**_names(table, columns))).rowcount


@contextmanager
def _our_errors() -> Iterator[None]:
    """Turn the driver's errors, which SQLAlchemy does not see here, into one of ours."""
    try:
        yield
    except (psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise UnavailableError(
            f"PostgreSQL does not answer as it should: {str(error).strip()}; what was copied before"
            " is stored; check SORAFEED_DATABASE_URL, and start again"
        ) from error


def _names(table: str, columns: Sequence[str]) -> dict[str, sql.Composable]:
    def listed(prefix: str = "") -> sql.Composable:
        quoted = [sql.Identifier(*([prefix] if prefix else []), name) for name in columns]
        return sql.SQL(", ").join(quoted)

    return {
        "table": sql.Identifier(table),
        "stage": sql.Identifier(f"staged_{table}"),
        "columns": listed(),
        "old": listed("t"),
        "new": listed("excluded"),
    }
