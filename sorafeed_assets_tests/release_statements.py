"""Captures the statements of a release, so that the next one's schema is tested with them.

Run it in a checkout of the release, over the tests that play, edit, scan and react:

    pytest -p sorafeed_assets_tests.release_statements --statements-to FILE …

The file has the schema's revision, the statements that the storage floor sent, and the columns that
each of them may leave out. `test_release_before.py` plans them on the present schema.
"""

import json
import sys
from pathlib import Path
from types import FrameType
from typing import Any, Final

import pytest
from sqlalchemy import Engine, event

_STORAGE: Final = "/sorafeed_assets/storage/"
_MIGRATING: Final = "/storage/postgres/migrat"
_KINDS: Final = ("select", "insert", "update", "delete", "with", "lock", "refresh", "merge")

_found: set[str] = set()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--statements-to", help="file for the statements that were sent")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--statements-to"):
        event.listen(Engine, "before_cursor_execute", _capture)


def _capture(_connection: object, _cursor: object, statement: str, *_rest: Any) -> None:
    frame: FrameType | None = sys._getframe(1)
    is_ours = False
    while frame is not None:
        name = frame.f_code.co_filename
        if _MIGRATING in name or "/storage/legacy/" in name or "/storage/benchmarks/" in name:
            return
        is_ours |= _STORAGE in name
        frame = frame.f_back
    if is_ours and statement.strip().lower().startswith(_KINDS):
        _found.add(statement.strip())


def pytest_sessionfinish(session: pytest.Session) -> None:
    target = session.config.getoption("--statements-to")
    if not target:
        return
    file = Path(target)
    before = set(json.loads(file.read_text())["statements"]) if file.exists() else set()
    from sorafeed_assets.storage.postgres.tables import metadata

    columns = {
        table.name: sorted(column.name for column in table.columns)
        for table in metadata.sorted_tables
    }
    revisions = Path("sorafeed_assets/storage/postgres/migrations/versions").glob("0*.py")
    content = {
        "revision": max(path.name[:4] for path in revisions),
        "columns": columns,
        "statements": sorted(before | _found),
    }
    file.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
