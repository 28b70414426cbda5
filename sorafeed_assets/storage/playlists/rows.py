"""SQL of displays, playlists and blocks."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Row, RowMapping, delete, func, select, text, update

from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.playlists.playlist import Block, BlockDraft, FetchMode, Playlist
from sorafeed_assets.storage.postgres.locks import LockSpace, lock
from sorafeed_assets.storage.postgres.tables import displays, playlist_blocks, playlists

_LOAD_PLAYLISTS: Final = text("""
SELECT p.id, p.display_id, p.name, p.created_at, p.is_active, p.is_new,
       b.id AS block_id, b.search_term, b.video_count, b.fetch_mode, b.format, b.block_order
FROM playlists p
LEFT JOIN playlist_blocks b ON b.playlist_id = p.id
WHERE (CAST(:display_ids AS text[]) IS NULL OR p.display_id = ANY(:display_ids))
  AND (p.is_active OR NOT :active_only)
ORDER BY p.display_id, p.created_at, p.id, b.block_order
""")

# The displays of which `domain.playlists.choose_active` may choose another playlist.
_UNDECIDED: Final = text("""
SELECT display_id
FROM playlists
WHERE CAST(:display_ids AS text[]) IS NULL OR display_id = ANY(:display_ids)
GROUP BY display_id
HAVING bool_or(is_new) OR NOT bool_or(is_active)
ORDER BY display_id
""")

_LOCK_ROWS: Final = text("""
SELECT id FROM displays WHERE id = ANY(:display_ids) ORDER BY id FOR NO KEY UPDATE
""")

_DISPLAY_IDS: Final = text("""
SELECT id FROM displays
WHERE CAST(:display_ids AS text[]) IS NULL OR id = ANY(:display_ids)
ORDER BY id
""")

# created_at is taken after the display is locked, so that its order is the order of commits.
_INSERT_PLAYLIST: Final = text("""
INSERT INTO playlists (display_id, name, is_new, created_at, updated_at)
VALUES (:display_id, :name, :is_new, clock_timestamp(), clock_timestamp())
RETURNING id
""")

_DEACTIVATE: Final = text("""
UPDATE playlists SET is_active = false, updated_at = now()
WHERE display_id = ANY(:display_ids) AND is_active AND id <> ALL(:chosen)
""")

_ACTIVATE: Final = text("""
UPDATE playlists SET is_active = true, updated_at = now()
WHERE id = ANY(:chosen) AND NOT is_active
""")

_DECIDED: Final = text("""
UPDATE playlists SET is_new = false WHERE display_id = ANY(:display_ids) AND is_new
""")

_MOVE_BLOCKS: Final = text("""
UPDATE playlist_blocks b SET block_order = moved.block_order
FROM unnest(CAST(:ids AS uuid[]), CAST(:orders AS integer[])) AS moved (id, block_order)
WHERE b.id = moved.id AND b.block_order <> moved.block_order
""")

_INSERT_BLOCKS: Final = text("""
INSERT INTO playlist_blocks
    (id, playlist_id, search_term, video_count, fetch_mode, format, block_order)
VALUES (coalesce(CAST(:id AS uuid), uuidv7()), :playlist_id, :search_term, :video_count,
        :fetch_mode, :format, :block_order)
""")

_UPDATE_TOTALS: Final = text("""
UPDATE playlists p
SET total_blocks = totals.blocks, total_videos = totals.videos, updated_at = now()
FROM (SELECT count(*) AS blocks, coalesce(sum(video_count), 0) AS videos
      FROM playlist_blocks WHERE playlist_id = :playlist_id) AS totals
WHERE p.id = :playlist_id
""")

# Deleting a playlist deletes its queue rows by cascade; the display's build must be reset.
_CLEAR_BUILD: Final = text("""
UPDATE displays d SET active_build_id = NULL, timeline_position = 0
WHERE d.id = :display_id
  AND EXISTS (SELECT FROM timeline_builds b
              WHERE b.id = d.active_build_id AND b.playlist_id = :playlist_id)
""")

_CLEAR_CURRENT: Final = text("""
UPDATE displays d
SET current_playlist_id = NULL, current_block_id = NULL, current_timeline_video_id = NULL,
    current_video_id = NULL, current_position = NULL
WHERE d.id = :display_id
  AND (d.current_playlist_id = :playlist_id
       OR EXISTS (SELECT FROM timeline_videos v
                  WHERE v.id = d.current_timeline_video_id AND v.playlist_id = :playlist_id))
""")

_LIST_DISPLAYS: Final = text("""
SELECT d.id, d.name, d.status, active.name AS active_playlist,
       (SELECT count(*) FROM playlists p WHERE p.display_id = d.id) AS playlists, d.created_at
FROM displays d
LEFT JOIN playlists active ON active.display_id = d.id AND active.is_active
ORDER BY d.id
""")

_LIST_PLAYLISTS: Final = text("""
SELECT p.id, p.display_id, p.name, p.is_active, count(b.id) AS blocks,
       coalesce(sum(b.video_count), 0) AS videos, p.created_at
FROM playlists p
LEFT JOIN playlist_blocks b ON b.playlist_id = p.id
WHERE CAST(:display_id AS text) IS NULL OR p.display_id = :display_id
GROUP BY p.id
ORDER BY p.display_id, p.created_at, p.id
""")


def insert_display(connection: Connection, display_id: str, name: str) -> bool:
    """Add a display; False when its code is taken."""
    found = connection.execute(
        text("INSERT INTO displays (id, name) VALUES (:id, :name) ON CONFLICT (id) DO NOTHING"),
        {"id": display_id, "name": name},
    )
    return found.rowcount == 1


def delete_display(connection: Connection, display_id: str) -> bool:
    """Delete a display with its playlists, builds and queue, but not plays; False if unknown."""
    return connection.execute(delete(displays).where(displays.c.id == display_id)).rowcount == 1


def list_displays(connection: Connection) -> Sequence[RowMapping]:
    """All displays by id: id, name, status, active_playlist, playlists, created_at."""
    return connection.execute(_LIST_DISPLAYS).mappings().all()


def display_ids(connection: Connection, ids: Collection[str] | None = None) -> list[str]:
    """Those of ``ids`` that exist, or all, sorted."""
    return list(connection.scalars(_DISPLAY_IDS, {"display_ids": _array(ids)}))


def lock_displays(connection: Connection, ids: Collection[str]) -> list[str]:
    """Acquire the locks of displays until the transaction ends; returns those that exist.

    Their rows are locked too, in order of codes, because plain SQL may be writing several of them.
    """
    lock(connection, LockSpace.DISPLAY, ids)
    return list(connection.scalars(_LOCK_ROWS, {"display_ids": sorted(set(ids))}))


def lock_rows(connection: Connection, ids: Collection[str]) -> list[str]:
    """Lock only the rows of displays, for changes that no plan depends on; those that exist."""
    return list(connection.scalars(_LOCK_ROWS, {"display_ids": sorted(set(ids))}))


def load_playlist(connection: Connection, playlist_id: UUID) -> Playlist | None:
    """A playlist with its blocks."""
    display_id = playlist_display(connection, playlist_id)
    found = [] if display_id is None else load_playlists(connection, [display_id])
    return next((each for each in found if each.id == playlist_id), None)


def load_playlists(
    connection: Connection, ids: Collection[str] | None = None, *, active_only: bool = False
) -> list[Playlist]:
    """The playlists of these displays, or of all, by (display, created_at, id)."""
    rows = connection.execute(
        _LOAD_PLAYLISTS, {"display_ids": _array(ids), "active_only": active_only}
    )
    return list(_assemble(rows))


def load_active_playlists(
    connection: Connection, ids: Collection[str] | None = None
) -> dict[str, Playlist]:
    """The active playlists of these displays, or of all."""
    playlists = load_playlists(connection, ids, active_only=True)
    return {playlist.display_id: playlist for playlist in playlists}


def _assemble(rows: Iterable[Row[Any]]) -> Iterator[Playlist]:
    for playlist_id, group in groupby(rows, key=lambda row: row.id):
        lines = list(group)
        first = lines[0]
        yield Playlist(
            playlist_id,
            first.display_id,
            first.name,
            first.created_at,
            first.is_active,
            first.is_new,
            tuple(_block(line) for line in lines if line.block_id is not None),
        )


def _block(row: Row[Any]) -> Block:
    return Block(
        row.block_id,
        row.search_term,
        row.video_count,
        FetchMode(row.fetch_mode),
        Format(row.format),
        row.block_order,
    )


def undecided_displays(connection: Connection, ids: Collection[str] | None = None) -> list[str]:
    """Displays with an undecided playlist, or without an active one, sorted."""
    return list(connection.scalars(_UNDECIDED, {"display_ids": _array(ids)}))


def set_active(connection: Connection, ids: Collection[str], chosen: Collection[UUID]) -> None:
    """Make ``chosen`` the only active playlists of these displays; marks all as decided."""
    values = {"display_ids": list(ids), "chosen": list(chosen)}
    # Deactivate first, because the unique index never allows two active playlists.
    connection.execute(_DEACTIVATE, values)
    connection.execute(_ACTIVATE, values)
    connection.execute(_DECIDED, values)


def mark_decided(connection: Connection, ids: Collection[str]) -> None:
    """Mark all playlists of these displays as decided."""
    if ids:
        connection.execute(_DECIDED, {"display_ids": sorted(ids)})


def playlist_display(connection: Connection, playlist_id: UUID) -> str | None:
    """The display that a playlist belongs to."""
    return connection.scalar(select(playlists.c.display_id).where(playlists.c.id == playlist_id))


def insert_playlist(
    connection: Connection, display_id: str, name: str, *, is_new: bool = True
) -> UUID:
    """Add an empty playlist to a display; returns its id. A new one is to be activated."""
    added: UUID = connection.execute(
        _INSERT_PLAYLIST, {"display_id": display_id, "name": name, "is_new": is_new}
    ).scalar_one()
    return added


def write_blocks(
    connection: Connection,
    playlist_id: UUID,
    drafts: Sequence[BlockDraft],
    kept: Sequence[Block | None],
) -> None:
    """Store ``drafts`` as the playlist's blocks; ``kept`` has the block that each continues."""
    continued = [(order, block.id) for order, block in enumerate(kept) if block is not None]
    ids = [block_id for _, block_id in continued]
    connection.execute(
        delete(playlist_blocks).where(
            playlist_blocks.c.playlist_id == playlist_id, playlist_blocks.c.id.not_in(ids)
        )
    )
    connection.execute(_MOVE_BLOCKS, {"ids": ids, "orders": [order for order, _ in continued]})
    added = [
        {
            "id": draft.id,
            "playlist_id": playlist_id,
            "search_term": draft.search_term,
            "video_count": draft.video_count,
            "fetch_mode": draft.fetch_mode.value,
            "format": draft.format.value,
            "block_order": order,
        }
        for order, (draft, block) in enumerate(zip(drafts, kept, strict=True))
        if block is None
    ]
    if added:
        connection.execute(_INSERT_BLOCKS, added)
    connection.execute(_UPDATE_TOTALS, {"playlist_id": playlist_id})


def stored_block_ids(connection: Connection, ids: Sequence[UUID]) -> set[UUID]:
    """Those of ``ids`` that stored blocks have."""
    if not ids:
        return set()
    return set(
        connection.scalars(select(playlist_blocks.c.id).where(playlist_blocks.c.id.in_(ids)))
    )


def rename_playlist(connection: Connection, playlist_id: UUID, name: str) -> bool:
    """Rename a playlist; False if unknown."""
    renamed = connection.execute(
        update(playlists)
        .where(playlists.c.id == playlist_id)
        .values(name=name, updated_at=func.now())
    )
    return renamed.rowcount == 1


def rename_display(connection: Connection, display_id: str, name: str) -> bool:
    """Rename a display; False if unknown."""
    renamed = connection.execute(
        update(displays).where(displays.c.id == display_id).values(name=name)
    )
    return renamed.rowcount == 1


def delete_playlist(connection: Connection, display_id: str, playlist_id: UUID) -> bool:
    """Delete a playlist and its queue, but not its plays; clears its display's position."""
    values = {"display_id": display_id, "playlist_id": playlist_id}
    connection.execute(_CLEAR_BUILD, values)
    connection.execute(_CLEAR_CURRENT, values)
    return connection.execute(delete(playlists).where(playlists.c.id == playlist_id)).rowcount == 1


def list_playlists(connection: Connection, display_id: str | None = None) -> Sequence[RowMapping]:
    """By (display, created_at): id, display_id, name, is_active, blocks, videos, created_at."""
    return connection.execute(_LIST_PLAYLISTS, {"display_id": display_id}).mappings().all()


def _array(ids: Collection[str] | None) -> list[str] | None:
    return None if ids is None else sorted(set(ids))


def several_active(connection: Connection, ids: Collection[str] | None = None) -> list[str]:
    """Those of these displays, or of all, with more than one active playlist.

    The unique index should make that impossible.
    """
    statement = (
        select(playlists.c.display_id)
        .where(playlists.c.is_active)
        .group_by(playlists.c.display_id)
        .having(func.count() > 1)
        .order_by(playlists.c.display_id)
    )
    if ids is not None:
        statement = statement.where(playlists.c.display_id.in_(ids))
    return list(connection.scalars(statement))
