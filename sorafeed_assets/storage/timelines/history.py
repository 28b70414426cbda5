"""Plays of a display, by time and by block, with what became of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

_PLAYS: Final = text("""
SELECT h.id, h.video_id, h.block_id, h.loop_iteration, h.played_at, h.was_skipped,
       x.timeline_video_id IS NOT NULL AS has_failed, b.search_term AS search,
       left(p.text, 280) AS text, p.thumbnail_url, p.width, p.height
FROM (
    SELECT * FROM video_history
    WHERE display_id = :display_id AND (played_at, id) < (CAST(:moment AS timestamptz), :after)
      AND played_at >= CAST(:since AS timestamptz) AND played_at < CAST(:until AS timestamptz)
      AND (CAST(:block_id AS uuid) IS NULL OR block_id = :block_id)
    ORDER BY played_at DESC, id DESC LIMIT :size
) AS h
LEFT JOIN sora_posts p ON p.id = h.video_id
LEFT JOIN playlist_blocks b ON b.id = h.block_id
LEFT JOIN play_failures x ON x.timeline_video_id = h.timeline_video_id
ORDER BY h.played_at DESC, h.id DESC
""")


def plays_of(
    connection: Connection,
    display_id: str,
    size: int,
    after: tuple[datetime | str, UUID],
    since: datetime | None = None,
    until: datetime | None = None,
    block_id: UUID | None = None,
) -> Sequence[RowMapping]:
    """The next plays of a display, the latest first.

    ``after`` is the time and the id of the last one before; ``until`` is not included. Without a
    bound or a block all plays are wanted.
    """
    moment, last = after
    values = {
        "display_id": display_id,
        "size": size,
        "moment": moment,
        "after": last,
        "since": since or "-infinity",
        "until": until or "infinity",
        "block_id": block_id,
    }
    return connection.execute(_PLAYS, values).mappings().all()
