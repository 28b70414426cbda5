"""SQL of templates, and of the playlists that follow them."""

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.playlists.playlist import BlockDraft, FetchMode

_INSERT: Final = text("INSERT INTO templates (name) VALUES (:name) RETURNING id")

_RENAME: Final = text("""
UPDATE templates SET name = :name, updated_at = now() WHERE id = :id
""")

_DELETE: Final = text("DELETE FROM templates WHERE id = :id")

# An edit locks the template against other edits; a display that begins to follow it only shares it.
_LOCK: Final = text("SELECT name FROM templates WHERE id = :id FOR NO KEY UPDATE")
_SHARE: Final = text("SELECT name FROM templates WHERE id = :id FOR SHARE")

_BLOCKS: Final = text("""
SELECT search_term, video_count, fetch_mode, format FROM template_blocks
WHERE template_id = :id ORDER BY block_order
""")

_CLEAR: Final = text("DELETE FROM template_blocks WHERE template_id = :id")

_ADD_BLOCKS: Final = text("""
INSERT INTO template_blocks
    (template_id, block_order, search_term, video_count, fetch_mode, format)
VALUES (:template_id, :block_order, :search_term, :video_count, :fetch_mode, :format)
""")

_TOUCH: Final = text("UPDATE templates SET updated_at = now() WHERE id = :id")

_FOLLOWERS: Final = text("""
SELECT id, display_id FROM playlists WHERE template_id = :id ORDER BY display_id, id
""")

_FOLLOW: Final = text("UPDATE playlists SET template_id = :id WHERE id = :playlist_id")

_DETACH: Final = text("UPDATE playlists SET template_id = NULL WHERE id = :playlist_id")

_TEMPLATE_OF: Final = text("""
SELECT t.id, t.name FROM playlists p JOIN templates t ON t.id = p.template_id
WHERE p.id = :playlist_id
""")

_TEMPLATES_ON: Final = text("""
SELECT p.id, t.name FROM playlists p JOIN templates t ON t.id = p.template_id
WHERE p.display_id = :display_id
""")

_LIST: Final = text("""
SELECT t.id, t.name, t.created_at, t.updated_at,
       ARRAY(SELECT p.display_id FROM playlists p WHERE p.template_id = t.id
             ORDER BY p.display_id) AS followers
FROM templates t ORDER BY t.name, t.id
""")

# For playlists with equal blocks, so that one statement edits all of them.
_DELETE_BLOCKS: Final = text("""
DELETE FROM playlist_blocks
WHERE playlist_id = ANY(CAST(:ids AS uuid[])) AND block_order <> ALL(CAST(:kept AS integer[]))
""")

_MOVE_BLOCKS: Final = text("""
UPDATE playlist_blocks b SET block_order = moved.new
FROM unnest(CAST(:old AS integer[]), CAST(:new AS integer[])) AS moved (old, new)
WHERE b.playlist_id = ANY(CAST(:ids AS uuid[])) AND b.block_order = moved.old
  AND moved.old <> moved.new
""")

_INSERT_BLOCKS: Final = text("""
INSERT INTO playlist_blocks
    (playlist_id, search_term, video_count, fetch_mode, format, block_order)
SELECT p.id, :search_term, :video_count, :fetch_mode, :format, :block_order
FROM unnest(CAST(:ids AS uuid[])) AS p (id)
""")

_UPDATE_TOTALS: Final = text("""
UPDATE playlists SET total_blocks = :blocks, total_videos = :videos, updated_at = now()
WHERE id = ANY(CAST(:ids AS uuid[]))
""")


def insert_template(connection: Connection, name: str) -> UUID:
    """Add a template without blocks; returns its id."""
    added: UUID = connection.execute(_INSERT, {"name": name}).scalar_one()
    return added


def rename_template(connection: Connection, template_id: UUID, name: str) -> bool:
    """Rename a template; False if unknown."""
    return connection.execute(_RENAME, {"id": template_id, "name": name}).rowcount == 1


def delete_template(connection: Connection, template_id: UUID) -> bool:
    """Delete a template; its followers stay, detached. False if unknown."""
    return connection.execute(_DELETE, {"id": template_id}).rowcount == 1


def lock_template(connection: Connection, template_id: UUID, *, shared: bool) -> str | None:
    """Lock a template until the transaction ends; returns its name, None if unknown."""
    name: str | None = connection.scalar(_SHARE if shared else _LOCK, {"id": template_id})
    return name


def template_blocks(connection: Connection, template_id: UUID) -> list[BlockDraft]:
    """The blocks of a template, in order."""
    return [
        BlockDraft(row.search_term, row.video_count, FetchMode(row.fetch_mode), Format(row.format))
        for row in connection.execute(_BLOCKS, {"id": template_id})
    ]


def write_template_blocks(
    connection: Connection, template_id: UUID, drafts: Sequence[BlockDraft]
) -> None:
    """Replace the blocks of a template."""
    connection.execute(_CLEAR, {"id": template_id})
    rows = [
        {"template_id": template_id, **_values(order, draft)} for order, draft in enumerate(drafts)
    ]
    connection.execute(_ADD_BLOCKS, rows)
    connection.execute(_TOUCH, {"id": template_id})


def followers(connection: Connection, template_id: UUID) -> dict[UUID, str]:
    """Playlist → display of those that follow a template, by display."""
    return {row.id: row.display_id for row in connection.execute(_FOLLOWERS, {"id": template_id})}


def follow(connection: Connection, playlist_id: UUID, template_id: UUID) -> None:
    """Let a playlist follow a template."""
    connection.execute(_FOLLOW, {"id": template_id, "playlist_id": playlist_id})


def detach(connection: Connection, playlist_id: UUID) -> None:
    """Let a playlist follow no template."""
    connection.execute(_DETACH, {"playlist_id": playlist_id})


def template_of(connection: Connection, playlist_id: UUID) -> RowMapping | None:
    """The id and name of the template that a playlist follows."""
    return connection.execute(_TEMPLATE_OF, {"playlist_id": playlist_id}).mappings().one_or_none()


def templates_on(connection: Connection, display_id: str) -> dict[UUID, str]:
    """The names of the templates that a display's playlists follow, by playlist."""
    rows = connection.execute(_TEMPLATES_ON, {"display_id": display_id})
    return {row.id: row.name for row in rows}


def list_templates(connection: Connection) -> Sequence[RowMapping]:
    """All templates by name: id, name, created_at, updated_at, followers (displays)."""
    return connection.execute(_LIST).mappings().all()


def edit_followers(
    connection: Connection,
    playlist_ids: Collection[UUID],
    drafts: Sequence[BlockDraft],
    kept: Sequence[int | None],
) -> None:
    """Store ``drafts`` as the blocks of playlists that have equal blocks now.

    ``kept`` has the order of the block that each draft continues.
    """
    ids = list(playlist_ids)
    continued = [(old, new) for new, old in enumerate(kept) if old is not None]
    old, new = [pair[0] for pair in continued], [pair[1] for pair in continued]
    connection.execute(_DELETE_BLOCKS, {"ids": ids, "kept": old})
    connection.execute(_MOVE_BLOCKS, {"ids": ids, "old": old, "new": new})
    for order, (draft, block) in enumerate(zip(drafts, kept, strict=True)):
        if block is None:
            connection.execute(_INSERT_BLOCKS, {"ids": ids, **_values(order, draft)})
    videos = sum(draft.video_count for draft in drafts)
    connection.execute(_UPDATE_TOTALS, {"ids": ids, "blocks": len(drafts), "videos": videos})


def _values(order: int, draft: BlockDraft) -> dict[str, object]:
    return {
        "block_order": order,
        "search_term": draft.search_term,
        "video_count": draft.video_count,
        "fetch_mode": draft.fetch_mode.value,
        "format": draft.format.value,
    }
