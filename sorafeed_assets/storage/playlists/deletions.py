"""`deletions`: the rows of deleted displays and playlists, and putting them back.

Kept are the rows that the delete cascades to, of every table, but for those that settling makes
again, and tokens, which are secrets. A table that is added below displays or playlists is therefore
kept without a change here.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Table,
    bindparam,
    column,
    func,
    insert,
    or_,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from sorafeed_assets.storage.postgres.tables import (
    deletions,
    displays,
    metadata,
    playlists,
)

KEPT: Final = timedelta(days=30)

Rows = Mapping[str, Sequence[dict[str, Any]]]
"""Rows as JSON, by table."""

_NOT_KEPT: Final = frozenset({"timeline_builds", "timeline_videos", "display_terms", "api_tokens"})
# What a display was doing; after it is restored, it begins again.
_FORGOTTEN: Final[Mapping[str, frozenset[str]]] = {
    "displays": frozenset(
        {
            *("active_build_id", "current_playlist_id", "current_block_id", "current_video_id"),
            *("current_timeline_video_id", "current_position", "timeline_position"),
            *("loop_iteration", "plan_problem", "status", "last_ping", "commands"),
            *("video_position", "last_video_start_time", "is_playing"),
        }
    )
}

_LIST: Final = text("""
SELECT x.id, x.display_id, x.playlist_id, x.name, x.was_active, x.deleted_at,
       jsonb_array_length(coalesce(x.rows -> 'playlists', '[]')) AS playlists,
       jsonb_array_length(coalesce(x.rows -> 'playlist_blocks', '[]')) AS blocks
FROM deletions x
WHERE (CAST(:display_id AS text) IS NULL OR x.display_id = :display_id)
  AND (x.deleted_at, x.id) < (CAST(:moment AS timestamptz), :after)
  AND x.deleted_at > now() - CAST(:kept AS interval)
ORDER BY x.deleted_at DESC, x.id DESC LIMIT :size
""")

_TAKE: Final = text("""
DELETE FROM deletions WHERE id = :id AND deleted_at > now() - CAST(:kept AS interval)
RETURNING display_id, playlist_id, name, was_active, rows
""")

_PURGE: Final = text("DELETE FROM deletions WHERE deleted_at <= now() - CAST(:kept AS interval)")


def keep_display(connection: Connection, display_id: str) -> UUID:
    """Keep a display that is about to be deleted, with its rows in other tables."""
    rows = _read(connection, displays, displays.c.id == display_id)
    return _insert(connection, rows, display_id, None, rows["displays"][0]["name"], active=False)


def keep_playlist(connection: Connection, display_id: str, playlist_id: UUID) -> UUID:
    """Keep a playlist that is about to be deleted, with its blocks."""
    rows = _read(connection, playlists, playlists.c.id == playlist_id)
    [row] = rows["playlists"]
    return _insert(connection, rows, display_id, playlist_id, row["name"], active=row["is_active"])


def list_deletions(
    connection: Connection, display_id: str | None, size: int, after: tuple[datetime | str, UUID]
) -> Sequence[RowMapping]:
    """The next deletions that can be restored, of one display or all, the latest first.

    ``after`` is the time and the id of the last one before.
    """
    moment, last = after
    values = {"display_id": display_id, "size": size, "moment": moment, "after": last}
    return connection.execute(_LIST, {**values, "kept": KEPT}).mappings().all()


def deletion_display(connection: Connection, deletion_id: UUID) -> str | None:
    """The display that a deletion is of; None when there is no such deletion."""
    found: str | None = connection.scalar(
        select(deletions.c.display_id).where(deletions.c.id == deletion_id)
    )
    return found


def take_deletion(connection: Connection, deletion_id: UUID) -> RowMapping | None:
    """Remove a deletion: display_id, playlist_id, name, was_active, rows; None if it is over."""
    return connection.execute(_TAKE, {"id": deletion_id, "kept": KEPT}).mappings().one_or_none()


def put_back(connection: Connection, rows: Rows) -> None:
    """Insert kept rows again; columns that were dropped since are left out."""
    for table in metadata.sorted_tables:
        if found := rows.get(table.name):
            forgotten = _FORGOTTEN.get(table.name, frozenset())
            columns = [
                c
                for c in table.columns
                if c.name in found[0]
                and c.name not in forgotten
                and c.identity is None
                and c.computed is None
            ]
            source = (
                func.jsonb_to_recordset(bindparam("kept_rows", type_=JSONB))
                .table_valued(*(column(c.name, c.type) for c in columns), name="kept")
                .render_derived(with_types=True)
            )
            names = [c.name for c in columns]
            statement = insert(table).from_select(names, select(*(source.c[n] for n in names)))
            connection.execute(statement, {"kept_rows": found})


def purge_deletions(connection: Connection) -> int:
    """Delete what was deleted over 30 days ago; returns how many deletions."""
    return connection.execute(_PURGE, {"kept": KEPT}).rowcount


def _insert(
    connection: Connection,
    rows: Rows,
    display_id: str,
    playlist_id: UUID | None,
    name: str,
    *,
    active: bool,
) -> UUID:
    values = {
        "display_id": display_id,
        "playlist_id": playlist_id,
        "name": name,
        "was_active": active,
        "rows": rows,
    }
    added: UUID = connection.execute(
        insert(deletions).values(values).returning(deletions.c.id)
    ).scalar_one()
    return added


def _read(connection: Connection, root: Table, is_it: ColumnElement[bool]) -> Rows:
    # Until the delete no other transaction may add rows below it, which would be lost.
    connection.execute(select(root.c.id).where(is_it).with_for_update())
    return {
        table.name: rows
        for table, wanted in _below(root, is_it).items()
        if (
            rows := connection.scalar(
                select(func.jsonb_agg(func.to_jsonb(table.table_valued())))
                .select_from(table)
                .where(wanted)
            )
        )
    }


def _below(root: Table, is_it: ColumnElement[bool]) -> dict[Table, ColumnElement[bool]]:
    """Table → which of its rows a delete of ``root``'s row deletes too, parents first."""
    found = {root: is_it}
    for table in metadata.sorted_tables:
        if table in found or table.name in _NOT_KEPT:
            continue
        parents = [
            key.parent.in_(select(key.column).where(found[key.column.table]))
            for key in table.foreign_keys
            if key.ondelete == "CASCADE" and key.column.table in found
        ]
        if parents:
            found[table] = or_(*parents)
    return found
