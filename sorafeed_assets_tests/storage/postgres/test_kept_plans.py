"""Sessions keep their plans while a migration adds columns: no statement's result may change."""

import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import psycopg
from psycopg import Connection
from sqlalchemy import Dialect, Engine, TextClause

import sorafeed_assets.storage
from sorafeed_assets.settings import Settings

# Statements of old systems, of benchmarks, and of migrations, which end with their process.
_OTHERS: Final = (".legacy.", ".benchmarks.", ".migrations.")
_ADD: Final = """
SELECT format('ALTER TABLE %I ADD COLUMN added_later integer', relname) FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
"""


def _statements(dialect: Dialect) -> Iterator[tuple[str, str]]:
    """The name and the SQL of each constant of the storage floor that is a statement."""
    for module in pkgutil.walk_packages(
        sorafeed_assets.storage.__path__, "sorafeed_assets.storage."
    ):
        if any(part in f"{module.name}." for part in _OTHERS):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            found = value if isinstance(value, Mapping) else {"": value}
            for key, each in found.items():
                if isinstance(each, TextClause):
                    yield f"{module.name}.{name}{key and f'[{key}]'}", _numbered(each, dialect)


def _numbered(statement: TextClause, dialect: Dialect) -> str:
    compiled = str(statement.compile(dialect=dialect))
    numbers: dict[str, int] = {}
    return re.sub(
        r"%\((\w+)\)s",
        lambda found: f"${numbers.setdefault(found[1], len(numbers) + 1)}",
        compiled,
    ).replace("%%", "%")


def _columns(connection: Connection[Any], dialect: Dialect) -> dict[str, list[bytes | None]]:
    """The result columns of each statement that PostgreSQL can plan without its values."""
    columns: dict[str, list[bytes | None]] = {}
    for name, statement in _statements(dialect):
        result = connection.pgconn.prepare(b"", statement.encode())
        if result.status != psycopg.pq.ExecStatus.COMMAND_OK:
            continue
        described = connection.pgconn.describe_prepared(b"")
        columns[name] = [described.fname(number) for number in range(described.nfields)]
    return columns


def test_no_result_has_a_column_more_when_tables_have(engine: Engine, settings: Settings) -> None:
    with psycopg.connect(str(settings.database_url), autocommit=True) as connection:
        before = _columns(connection, engine.dialect)
        for (add,) in connection.execute(_ADD).fetchall():
            connection.execute(add)
        assert len(before) > 200
        assert _columns(connection, engine.dialect) == before
