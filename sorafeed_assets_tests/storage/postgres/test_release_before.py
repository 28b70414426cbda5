"""The release before keeps working on the present schema: a migration only expands.

The statements are those that the release sent, frozen in a file; `release_statements` says how.
PostgreSQL parses and plans each of them, so that a column or table that is gone, or has another
type, is found; and what an INSERT of that release leaves out must have a default.
"""

import json
import re
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from psycopg import Connection
from psycopg.errors import IndeterminateDatatype

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
