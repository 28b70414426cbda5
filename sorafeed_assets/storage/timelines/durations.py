"""SQL of `post_durations`: how long videos are, as players reported it last."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

# A queue row may have been played since. Telling what is known already writes nothing, so that a
# video costs a write once, not with each play.
_TELL: Final = text("""
WITH told AS (
    SELECT coalesce(v.video_id, h.video_id) AS video_id, t.display_id, t.duration_ms, t.entry
    FROM unnest(CAST(:entries AS uuid[]), CAST(:displays AS text[]), CAST(:durations AS integer[]))
        AS t (entry, display_id, duration_ms)
    LEFT JOIN timeline_videos v ON v.id = t.entry AND v.display_id = t.display_id
    LEFT JOIN video_history h ON h.timeline_video_id = t.entry AND h.display_id = t.display_id
), stored AS (
    INSERT INTO post_durations AS d (post_id, duration_ms)
    SELECT DISTINCT ON (video_id) video_id, duration_ms
    FROM told
    WHERE video_id IS NOT NULL
    ORDER BY video_id, entry DESC
    ON CONFLICT (post_id) DO UPDATE SET duration_ms = excluded.duration_ms, told_at = now()
    WHERE d.duration_ms <> excluded.duration_ms
    RETURNING post_id
)
SELECT DISTINCT told.display_id
FROM told
JOIN stored ON stored.post_id = told.video_id
ORDER BY told.display_id
""")
_KNOWN: Final = text("""
SELECT post_id, duration_ms FROM post_durations WHERE post_id = ANY(CAST(:ids AS text[]))
""")
_RECENT: Final = text("""
SELECT duration_ms FROM post_durations ORDER BY told_at DESC LIMIT :most
""")
_BEGAN: Final = text("""
SELECT last_video_start_time FROM displays
WHERE id = :display_id AND current_timeline_video_id IS NOT NULL
""")


def tell_durations(connection: Connection, told: Mapping[UUID, tuple[str, int]]) -> list[str]:
    """Store durations, by queue entry: display and milliseconds.

    Returns the displays that told a duration which was not known. An entry that is not of its
    display is left out.
    """
    entries = list(told)
    values = {
        "entries": entries,
        "displays": [told[entry][0] for entry in entries],
        "durations": [told[entry][1] for entry in entries],
    }
    return list(connection.scalars(_TELL, values))


def load_durations(connection: Connection, post_ids: Collection[str]) -> dict[str, int]:
    """The known durations of posts, in milliseconds."""
    rows = connection.execute(_KNOWN, {"ids": sorted(set(post_ids))})
    return {row.post_id: row.duration_ms for row in rows}


def recent_durations(connection: Connection, most: int) -> list[int]:
    """The durations that were reported last, in milliseconds."""
    return list(connection.scalars(_RECENT, {"most": most}))


def began_at(connection: Connection, display_id: str) -> datetime | None:
    """When the video on a display's screen began; None when none is on screen."""
    began: datetime | None = connection.scalar(_BEGAN, {"display_id": display_id})
    return began
