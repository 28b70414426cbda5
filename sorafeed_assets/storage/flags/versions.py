"""`flag_versions` and `flag_assignments`: definitions with their history, and kept values."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final, NamedTuple

import orjson
from sqlalchemy import Connection, text

FLAGS_VERSION: Final = "(SELECT coalesce(max(id), 0) FROM flag_versions)"
"""`flags_version` as an expression, for statements that need it with something else."""

_VERSION: Final = text(f"SELECT {FLAGS_VERSION}")

_CURRENT: Final = text("""
SELECT DISTINCT ON (flag) flag, version, definition FROM flag_versions ORDER BY flag, version DESC
""")

_ASSIGNMENTS: Final = text("SELECT flag, display_id, value FROM flag_assignments")

_ADD: Final = text("""
INSERT INTO flag_versions (flag, version, definition, changed_by, reason, displays)
SELECT :flag, coalesce(max(version), 0) + 1, CAST(:definition AS jsonb), :by, :why, :displays
FROM flag_versions WHERE flag = :flag
RETURNING version
""")

_DROP_ASSIGNMENTS: Final = text("""
DELETE FROM flag_assignments
WHERE flag = :flag AND display_id <> ALL(CAST(:kept AS text[]))
""")

_ADD_ASSIGNMENTS: Final = text("""
INSERT INTO flag_assignments (flag, display_id, value)
SELECT :flag, * FROM unnest(CAST(:ids AS text[]), CAST(:values AS text[]))
ON CONFLICT (flag, display_id) DO UPDATE SET value = excluded.value
WHERE flag_assignments.value <> excluded.value
""")

_HISTORY: Final = text("""
SELECT flag, version, changed_at, changed_by, reason, displays,
    lag(definition) OVER (PARTITION BY flag ORDER BY version) AS before, definition AS after
FROM flag_versions
WHERE CAST(:flag AS text) IS NULL OR flag = :flag
ORDER BY id DESC LIMIT :most
""")


class StoredVersion(NamedTuple):
    """The definition of a flag that is true now."""

    flag: str
    version: int
    definition: Mapping[str, object]


class HistoryRow(NamedTuple):
    """A change of a flag: who, when and why, and the definitions before and after.

    ``displays`` is how many displays had another value then.
    """

    flag: str
    version: int
    changed_at: datetime
    changed_by: str
    reason: str
    displays: int
    before: Mapping[str, object] | None
    after: Mapping[str, object]


def flags_version(connection: Connection) -> int:
    """A number that grows with every change of any flag; 0 before the first."""
    return int(connection.execute(_VERSION).scalar_one())


def load_versions(connection: Connection) -> list[StoredVersion]:
    """The newest definition of each flag that has one."""
    return [StoredVersion(*row) for row in connection.execute(_CURRENT)]


def load_assignments(connection: Connection) -> dict[tuple[str, str], str]:
    """(flag, display) → the value that the display keeps."""
    return {(row.flag, row.display_id): row.value for row in connection.execute(_ASSIGNMENTS)}


def add_version(
    connection: Connection,
    flag: str,
    definition: Mapping[str, object],
    *,
    by: str,
    why: str,
    displays: int,
) -> int:
    """Store a definition; returns its number. The caller holds the flag's lock."""
    values = {
        "flag": flag,
        "definition": orjson.dumps(definition).decode(),
        "by": by,
        "why": why,
        "displays": displays,
    }
    return int(connection.execute(_ADD, values).scalar_one())


def keep_assignments(connection: Connection, flag: str, kept: Mapping[str, str]) -> None:
    """Make ``kept`` (display → value) the only displays that keep a value of the flag."""
    connection.execute(_DROP_ASSIGNMENTS, {"flag": flag, "kept": list(kept)})
    if kept:
        values = {"flag": flag, "ids": list(kept), "values": list(kept.values())}
        connection.execute(_ADD_ASSIGNMENTS, values)


def load_history(connection: Connection, flag: str | None, most: int) -> Collection[HistoryRow]:
    """The last changes of a flag, or of all, the newest first."""
    rows = connection.execute(_HISTORY, {"flag": flag, "most": most})
    return [HistoryRow(*row) for row in rows]
