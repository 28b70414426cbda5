"""The release before keeps working on the present schema: a migration only expands.

The statements are those that the release sent, frozen in a file; `release_statements` says how.
PostgreSQL parses and plans each of them, so that a column or table that is gone, or has another
type, is found; and what an INSERT of that release leaves out must have a default. Each is also
executed beside a display that plays, and taken back: triggers and constraints have their say then.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from psycopg import ClientCursor, Connection
from psycopg.errors import ForeignKeyViolation, IndeterminateDatatype, UniqueViolation
from redis import Redis
from sqlalchemy import Engine

from sorafeed_assets.services.settle import Settler
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.wall import add_display, add_playlist, add_posts

_FROZEN: Final[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "release_0019.json").read_text(encoding="utf-8")
)
_STATEMENTS: Final[list[str]] = _FROZEN["statements"]
# Not planned as they are: they name tables of their own transaction, or are utility statements.
_OWN_TABLES: Final = ("staged_", "pg_temp")
_UTILITY: Final = ("lock ", "refresh ")
_MUST_BE_GIVEN: Final = """
SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0
    AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = ''
    AND NOT a.attisdropped AND c.relname = ANY(%s)
"""


# Parameters that need a value of their own.
_VALUES: Final[dict[str, Any]] = {
    "state": "playing",
    "role": "display",
    "fetch_mode": "newest",
    "format": "mixed",
    "term": "cat",
    "terms": ["cat"],
    "phrase": "cat",
    "search_term": "cat",
    "block_order": 90,
}
_OF_TYPE: Final[dict[str, Any]] = {
    **dict.fromkeys(("smallint", "integer", "bigint", "numeric", "double precision"), 1),
    "boolean": True,
    "bytea": b"x",
    "date": "2026-03-01",
    "interval": "1 second",
    "json": "[]",
    "jsonb": "[]",
    "timestamp with time zone": "2026-03-01T12:00:00Z",
}
_TYPES: Final = "SELECT parameter_types::text[] FROM pg_prepared_statements WHERE name = 'one'"
_KNOWN: Final = "SELECT id, display_id FROM playlists LIMIT 1"
_MAY_CONFLICT: Final = (UniqueViolation, ForeignKeyViolation)


@pytest.fixture
def settled(engine: Engine, redis_url: str, settings: Settings) -> Iterator[Connection]:
    """A display that plays, on the present schema."""
    add_posts(engine, "cat", 9)
    add_display(engine, "HALL01")
    add_playlist(engine, "HALL01", [("cat", 5)])
    with Redis.from_url(redis_url) as redis:
        Settler.of(engine, redis, settings).settle(["HALL01"])
    with psycopg.connect(str(settings.database_url), autocommit=True) as connection:
        yield connection


def _as_prepared(statement: str) -> str:
    """The statement with the server's placeholders in place of the driver's."""
    names: dict[str, int] = {}

    def number(found: re.Match[str]) -> str:
        return f"${names.setdefault(found[1], len(names) + 1)}"

    return re.sub(r"%\((\w+)\)s", number, statement).replace("%%", "%")


def _plan(connection: Connection, statement: str) -> None:
    with connection.transaction(force_rollback=True):
        if statement.lower().startswith(_UTILITY):
            connection.execute(statement.encode())
        else:
            connection.execute(b"EXPLAIN (GENERIC_PLAN) " + _as_prepared(statement).encode())


def _value(name: str, kind: str, known: dict[str, Any]) -> Any:
    """A value for a parameter: what exists, or anything of its type."""
    item, is_array = kind.removesuffix("[]"), kind.endswith("[]")
    value = _VALUES.get(name, known.get(item, _OF_TYPE.get(item)))
    return [value] if is_array and not isinstance(value, list) else value


def _execute(connection: Connection, statement: str, known: dict[str, Any]) -> None:
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", statement)))
    cursor = ClientCursor(connection)
    try:
        with connection.transaction(force_rollback=True):
            cursor.execute(b"PREPARE one AS " + _as_prepared(statement).encode())
            row = cursor.execute(_TYPES).fetchone()
            kinds = row[0] if row else []
            values = [_value(name, kind, known) for name, kind in zip(names, kinds, strict=True)]
            arguments = f"({', '.join(['%s'] * len(values))})" if values else ""
            cursor.execute(f"EXECUTE one{arguments}".encode(), values)
            # Deferred constraints too.
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    except _MAY_CONFLICT:
        pass  # the values are not those of the release
    finally:
        cursor.execute("DEALLOCATE ALL")


def _refused(connection: Connection) -> tuple[list[str], int]:
    """What the present schema refuses to execute of the release's statements; how many it did."""
    row = connection.execute(_KNOWN).fetchone()
    assert row is not None
    known = dict(zip(("uuid", "text", "character varying"), (row[0], row[1], row[1]), strict=True))
    problems, executed = [], 0
    for statement in _planned():
        if statement.lower().startswith(_UTILITY):
            continue
        try:
            _execute(connection, statement, known)
        except IndeterminateDatatype:
            continue  # the driver sends the types
        except psycopg.Error as error:
            problems.append(f"{error}\n{statement}")
        else:
            executed += 1
    return problems, executed


def _planned() -> list[str]:
    return [text for text in _STATEMENTS if not any(own in text for own in _OWN_TABLES)]


def _problems(connection: Connection) -> list[str]:
    """What the present schema refuses of the release's statements."""
    problems = []
    for statement in _planned():
        try:
            _plan(connection, statement)
        except IndeterminateDatatype:
            continue  # the driver sends the types
        except psycopg.Error as error:
            problems.append(f"{error}\n{statement}")
    return problems


def test_the_release_before_can_send_all_its_statements(database_url: str) -> None:
    texts = " ".join(_planned()).lower()
    for written in ("insert into video_history", "update displays", "insert into playlists",
                    "delete from display_changes", "insert into lineage_records"):  # fmt: skip
        assert written in texts
    with psycopg.connect(database_url, autocommit=True) as connection:
        assert _problems(connection) == []


def test_the_release_before_can_execute_them(settled: Connection) -> None:
    problems, executed = _refused(settled)
    assert problems == []
    assert executed > 120


def test_a_trigger_that_needs_what_the_release_does_not_know_is_found(settled: Connection) -> None:
    settled.execute("""
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE 'a name has to be set in the new way'; END $$
    """)
    settled.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON playlists FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    problems, _ = _refused(settled)
    assert len(problems) == 1
    assert "in the new way" in problems[0]
    assert _problems(settled) == []  # planning finds no such thing


def test_what_it_does_not_write_has_a_default(database_url: str) -> None:
    columns: dict[str, list[str]] = _FROZEN["columns"]
    with psycopg.connect(database_url) as connection:
        required = connection.execute(_MUST_BE_GIVEN, [list(columns)]).fetchall()
    added = [(table, column) for table, column in required if column not in columns[table]]
    assert added == []


@pytest.mark.parametrize(
    "contraction",
    [
        "ALTER TABLE video_history DROP COLUMN was_skipped",
        "ALTER TABLE displays RENAME COLUMN timeline_position TO position",
        "ALTER TABLE display_terms RENAME TO terms_of_displays",
    ],
)
def test_a_migration_that_contracts_is_found(database_url: str, contraction: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(contraction.encode())
        assert _problems(connection)


def test_a_new_column_without_a_default_is_found(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE playlists ADD COLUMN colour text NOT NULL DEFAULT 'red'")
        connection.execute("ALTER TABLE playlists ALTER COLUMN colour DROP DEFAULT")
    with pytest.raises(AssertionError, match="colour"):
        test_what_it_does_not_write_has_a_default(database_url)
