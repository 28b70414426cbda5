"""SQL of jumps: what a display has shown, and the end of what is interrupted."""

from collections.abc import Collection, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

from sorafeed_assets.storage.catalog.blocklist import is_excluded

_POSTS: Final = text(f"""
SELECT id FROM sora_posts
WHERE id = ANY(CAST(:ids AS text[])) AND NOT {is_excluded("id", "creator_id")}
""")

# Of the videos since dedup_since that can still play, each once, where it was shown last.
_SHOWN: Final = text(f"""
SELECT video_id, block_id FROM (
    SELECT DISTINCT ON (h.video_id) h.video_id, h.block_id, h.played_at
    FROM (
        SELECT video_id, block_id, played_at FROM video_history
        WHERE display_id = :display_id AND block_id IS NOT NULL
            AND played_at >= (SELECT dedup_since FROM displays WHERE id = :display_id)
        ORDER BY played_at DESC LIMIT 4 * :most
    ) AS h
    JOIN sora_posts AS p ON p.id = h.video_id AND NOT {is_excluded("p.id", "p.creator_id")}
    ORDER BY h.video_id, h.played_at DESC
) AS each
ORDER BY played_at DESC LIMIT :most
""")

_SHOWN_IN: Final = text("""
SELECT block_id FROM video_history
WHERE display_id = :display_id AND video_id = :video_id AND block_id IS NOT NULL
ORDER BY played_at DESC LIMIT 1
""")

_LEAVE: Final = text("""
WITH gone AS (
    DELETE FROM timeline_videos WHERE id = :entry
    RETURNING id, display_id, video_id, block_id, loop_iteration
), recorded AS (
    INSERT INTO video_history (display_id, video_id, block_id, loop_iteration, played_at,
        timeline_video_id, was_skipped)
    SELECT display_id, video_id, block_id, loop_iteration, statement_timestamp(), id, true
    FROM gone
    ON CONFLICT (timeline_video_id) DO NOTHING
)
UPDATE playlist_blocks AS b
SET times_played = b.times_played + 1, last_played_at = statement_timestamp()
FROM gone
WHERE b.id = gone.block_id
""")


def playable_posts(connection: Connection, ids: Collection[str]) -> set[str]:
    """Those of the posts that exist and are not excluded."""
    return set(connection.scalars(_POSTS, {"ids": sorted(ids)}))


def last_shown(connection: Connection, display_id: str, most: int) -> Sequence[RowMapping]:
    """The last videos that a display has shown, as (video_id, block_id), the latest first."""
    values = {"display_id": display_id, "most": most}
    return connection.execute(_SHOWN, values).mappings().all()


def block_shown_in(connection: Connection, display_id: str, video_id: str) -> UUID | None:
    """The block in which a display showed a video last; None when it did not."""
    values = {"display_id": display_id, "video_id": video_id}
    found: UUID | None = connection.scalar(_SHOWN_IN, values)
    return found


def leave_entry(connection: Connection, entry: UUID) -> None:
    """Record that a video on screen was interrupted, and remove its row from the queue."""
    connection.execute(_LEAVE, {"entry": entry})
