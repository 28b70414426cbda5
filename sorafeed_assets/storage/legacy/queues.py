"""Writing displays, playlists and plays of the old system, and what is known of their imports."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final

import orjson
from sqlalchemy import Connection, text

from sorafeed_assets.domain.legacy.queues import OldDisplay, OldPlay, OldPlaylist, Problem
from sorafeed_assets.storage.postgres.copy import copy_rows

_IMPORTS: Final = text("SELECT kind, id, digest FROM legacy_imports")
_STORE_IMPORTS: Final = text("""
INSERT INTO legacy_imports AS i (kind, id, digest)
SELECT * FROM unnest(CAST(:kinds AS text[]), CAST(:ids AS text[]), CAST(:digests AS text[]))
ON CONFLICT (kind, id) DO UPDATE SET digest = excluded.digest, imported_at = now()
WHERE i.digest <> excluded.digest
""")
_DISPLAYS: Final = text("SELECT id, name FROM displays")
_ADD_DISPLAY: Final = text("""
INSERT INTO displays (id, name, created_at, is_muted)
VALUES (:id, :name, coalesce(:created_at, now()), :is_muted)
""")
_ADD_PLAYLIST: Final = text("""
INSERT INTO playlists AS p (id, display_id, name, created_at, updated_at, is_active, is_new,
    total_blocks, total_videos, loop_count)
VALUES (:id, :display_id, :name, coalesce(:created_at, now()), now(), false, false,
    :blocks, :videos, :loop_count)
ON CONFLICT (id) DO UPDATE
SET display_id = excluded.display_id, name = excluded.name, updated_at = now(),
    total_blocks = excluded.total_blocks, total_videos = excluded.total_videos,
    is_active = p.is_active AND p.display_id = excluded.display_id
""")
_DROP_BLOCKS: Final = text("""
DELETE FROM playlist_blocks WHERE playlist_id = :id AND id <> ALL(CAST(:kept AS uuid[]))
""")
_ADD_BLOCKS: Final = text("""
INSERT INTO playlist_blocks AS b (id, playlist_id, search_term, video_count, fetch_mode, format,
    block_order, times_played, last_played_at)
SELECT id, :playlist_id, search_term, video_count, fetch_mode, format, block_order, times_played,
    last_played_at
FROM jsonb_to_recordset(CAST(:blocks AS jsonb)) AS n (id uuid, search_term text,
    video_count integer, fetch_mode text, format text, block_order integer, times_played integer,
    last_played_at timestamptz)
ON CONFLICT (id) DO UPDATE
SET playlist_id = excluded.playlist_id, search_term = excluded.search_term,
    video_count = excluded.video_count, fetch_mode = excluded.fetch_mode,
    format = excluded.format, block_order = excluded.block_order
""")
_STAGE_PLAYS: Final = text("""
CREATE TEMPORARY TABLE staged_plays ON COMMIT DROP AS
SELECT id, display_id, video_id, block_id, loop_iteration, played_at FROM video_history
WITH NO DATA
""")
_ADD_PLAYS: Final = text("""
WITH added AS (
    INSERT INTO video_history (id, display_id, video_id, block_id, loop_iteration, played_at)
    SELECT id, display_id, video_id, block_id, loop_iteration, played_at FROM staged_plays
    ON CONFLICT (id) DO NOTHING
    RETURNING display_id
)
SELECT display_id, count(*) FROM added GROUP BY display_id
""")
# Their plays count from the first on: a display continues after what it showed there.
_COUNT_PLAYS: Final = text("""
UPDATE displays AS d SET dedup_since = f.first
FROM (
    SELECT display_id, min(played_at) AS first FROM video_history
    WHERE display_id = ANY(CAST(:ids AS text[])) GROUP BY display_id
) AS f
WHERE d.id = f.display_id AND f.first < d.dedup_since
RETURNING d.id
""")
_UNCOUNTED: Final = text("""
SELECT i.id FROM legacy_imports AS i JOIN displays AS d ON d.id = i.id
WHERE i.kind = 'display' AND d.active_build_id IS NOT NULL
  AND NOT EXISTS (SELECT FROM legacy_imports AS c WHERE c.kind = 'plays' AND c.id = i.id)
ORDER BY i.id
""")
_PROBLEMS: Final = text("SELECT kind, place, problem FROM legacy_problems ORDER BY 1, 2, 3")
_DROP_PROBLEMS: Final = text("""
DELETE FROM legacy_problems AS p
WHERE NOT EXISTS (
    SELECT FROM jsonb_to_recordset(CAST(:problems AS jsonb))
        AS n (kind text, place text, problem text)
    WHERE (n.kind, n.place, n.problem) = (p.kind, p.place, p.problem))
""")
_ADD_PROBLEMS: Final = text("""
INSERT INTO legacy_problems (kind, place, problem)
SELECT kind, place, problem FROM jsonb_to_recordset(CAST(:problems AS jsonb))
    AS n (kind text, place text, problem text)
ON CONFLICT DO NOTHING
""")
_STORE_FILE: Final = text("""
INSERT INTO legacy_queues (path, change_counter, figures, looked_at)
VALUES (:path, :counter, CAST(:figures AS jsonb), clock_timestamp())
ON CONFLICT (path) DO UPDATE
SET change_counter = excluded.change_counter, figures = excluded.figures, imported_at = now(),
    looked_at = excluded.looked_at
""")
_NOTE_UNCHANGED: Final = text("UPDATE legacy_queues SET looked_at = now() WHERE path = :path")
_FILE: Final = text("""
SELECT change_counter, figures, imported_at, looked_at FROM legacy_queues WHERE path = :path
""")
# So many are read and sent by one statement.
_PLAYS_AT_ONCE: Final = 10_000
_PLAY_COLUMNS: Final = OldPlay._fields


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """The last import of a file.

    Attributes:
        change_counter: of the file, then.
        figures: what it had then.
        imported_at: when that was.
        looked_at: when the file was last found to be as it was then.
    """

    change_counter: int
    figures: Mapping[str, Any]
    imported_at: datetime
    looked_at: datetime | None


def read_imports(connection: Connection) -> dict[tuple[str, str], str]:
    """(kind, id) → the digest that both sides had at the last import."""
    return {(row.kind, row.id): row.digest for row in connection.execute(_IMPORTS)}


def store_imports(connection: Connection, digests: Mapping[tuple[str, str], str]) -> None:
    """Keep the digests of what both sides have now; equal ones are not written."""
    if digests:
        values = {
            "kinds": [kind for kind, _ in digests],
            "ids": [row_id for _, row_id in digests],
            "digests": list(digests.values()),
        }
        connection.execute(_STORE_IMPORTS, values)


def display_names(connection: Connection) -> dict[str, str]:
    """Every display → its name."""
    return {row.id: row.name for row in connection.execute(_DISPLAYS)}


def add_display(connection: Connection, display: OldDisplay) -> None:
    """Add a display as it was named and created there."""
    connection.execute(_ADD_DISPLAY, asdict(display))


def write_playlist(connection: Connection, playlist: OldPlaylist) -> None:
    """Store a playlist with its blocks; whether it is active does not change."""
    blocks = [each.block for each in playlist.blocks]
    connection.execute(
        _ADD_PLAYLIST,
        {
            "id": playlist.id,
            "display_id": playlist.display_id,
            "name": playlist.name,
            "created_at": playlist.created_at,
            "blocks": len(blocks),
            "videos": sum(block.video_count for block in blocks),
            "loop_count": playlist.loop_count,
        },
    )
    connection.execute(
        _DROP_BLOCKS, {"id": playlist.id, "kept": [str(block.id) for block in blocks]}
    )
    rows = [
        {
            **asdict(each.block),
            "times_played": each.times_played,
            "last_played_at": each.last_played_at,
        }
        for each in playlist.blocks
    ]
    values = {"playlist_id": playlist.id, "blocks": orjson.dumps(rows).decode()}
    connection.execute(_ADD_BLOCKS, values)


def stage_plays(connection: Connection, plays: Iterable[OldPlay]) -> None:
    """Send plays to a table of this transaction, in batches: none is kept here."""
    connection.execute(_STAGE_PLAYS)
    remaining = iter(plays)
    while copy_rows(connection, "staged_plays", _PLAY_COLUMNS, islice(remaining, _PLAYS_AT_ONCE)):
        pass


def add_staged_plays(connection: Connection) -> dict[str, int]:
    """Store the staged plays that are missing; returns how many, by display."""
    return {row[0]: row[1] for row in connection.execute(_ADD_PLAYS)}


def uncounted_displays(connection: Connection) -> list[str]:
    """Imported displays that have a plan, and whose earlier plays it does not count yet."""
    return list(connection.scalars(_UNCOUNTED))


def count_plays(connection: Connection, display_ids: Collection[str]) -> list[str]:
    """Let the plans of displays count their plays from the first on; returns those that change."""
    return sorted(connection.scalars(_COUNT_PLAYS, {"ids": list(display_ids)}))


def read_problems(connection: Connection) -> list[Problem]:
    """What the last import showed."""
    return [Problem(*row) for row in connection.execute(_PROBLEMS)]


def store_problems(connection: Connection, problems: Sequence[Problem]) -> None:
    """Replace the stored problems; those that stay keep the time they were found at."""
    values = {"problems": orjson.dumps([each._asdict() for each in problems]).decode()}
    connection.execute(_DROP_PROBLEMS, values)
    connection.execute(_ADD_PROBLEMS, values)


def store_file(
    connection: Connection, path: str, change_counter: int, figures: Mapping[str, int]
) -> None:
    """Note that a file was imported."""
    values = {"path": path, "counter": change_counter, "figures": orjson.dumps(figures).decode()}
    connection.execute(_STORE_FILE, values)


def note_unchanged(connection: Connection, path: str) -> None:
    """Note that a file was looked at, and is as it was at its last import."""
    connection.execute(_NOTE_UNCHANGED, {"path": path})


def read_file(connection: Connection, path: str) -> ImportedFile | None:
    """The last import of a file."""
    row = connection.execute(_FILE, {"path": path}).one_or_none()
    return None if row is None else ImportedFile(*row)
