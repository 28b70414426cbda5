"""SQL of plays that were shown by this system, and an SQLite file of them in the old shape."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, text

from sorafeed_assets.domain.errors import SetupError

# Imported plays have no queue row of ours: the old file has them.
_PLAYS: Final = text("""
SELECT id, display_id, video_id, block_id, loop_iteration, played_at
FROM video_history
WHERE timeline_video_id IS NOT NULL
  AND (CAST(:since AS timestamptz) IS NULL OR played_at >= :since)
  AND (CAST(:ids AS text[]) IS NULL OR display_id = ANY(CAST(:ids AS text[])))
ORDER BY played_at, id
""")

_LAST_PLAYS: Final = text("""
SELECT a.id, last.played_at
FROM unnest(CAST(:ids AS text[])) AS a (id)
CROSS JOIN LATERAL (
    SELECT played_at FROM video_history AS h
    WHERE h.display_id = a.id AND h.timeline_video_id IS NULL
    ORDER BY h.played_at DESC LIMIT 1
) AS last
""")

_TABLE: Final = """
CREATE TABLE video_history (id TEXT PRIMARY KEY, display_id TEXT, video_id TEXT, block_id TEXT,
    loop_iteration INTEGER, played_at TEXT)
"""
_INSERT: Final = "INSERT INTO video_history VALUES (?, ?, ?, ?, ?, ?)"


class OurPlay(NamedTuple):
    """A video that this system showed."""

    id: UUID
    display_id: str
    video_id: str
    block_id: UUID | None
    loop_iteration: int
    played_at: datetime


def our_plays(
    connection: Connection, since: datetime | None, display_ids: list[str] | None
) -> Iterator[OurPlay]:
    """The plays that were not imported, in their order; of some displays or of all."""
    streamed = connection.execution_options(stream_results=True)
    for row in streamed.execute(_PLAYS, {"since": since, "ids": display_ids}):
        yield OurPlay(*row)


def last_imported_plays(connection: Connection, display_ids: list[str]) -> dict[str, datetime]:
    """Display → when its last imported play was; one without any is missing."""
    rows = connection.execute(_LAST_PLAYS, {"ids": display_ids})
    return {row.id: row.played_at for row in rows}


def write_old_plays(path: Path, plays: Iterator[OurPlay], spelled: Mapping[str, str]) -> int:
    """Write plays to a new SQLite file, in the columns of the old one; returns how many.

    ``spelled`` has the codes of displays as the old file writes them.

    Raises:
        SetupError: the file exists, or cannot be written; then there is no file.
    """
    if path.exists():
        raise SetupError(f"{path} exists; name a new file, or move that one away")
    try:
        with closing(sqlite3.connect(path)) as file, file:
            file.execute(_TABLE)
            return file.executemany(_INSERT, (_row(play, spelled) for play in plays)).rowcount
    except sqlite3.Error as error:
        path.unlink(missing_ok=True)
        raise SetupError(f"{path} cannot be written: {error}; name another file") from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _row(play: OurPlay, spelled: Mapping[str, str]) -> tuple[object, ...]:
    return (
        str(play.id),
        spelled.get(play.display_id, play.display_id),
        play.video_id,
        None if play.block_id is None else str(play.block_id),
        play.loop_iteration,
        play.played_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S"),
    )
