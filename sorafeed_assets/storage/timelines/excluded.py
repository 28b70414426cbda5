"""SQL of excluded posts in plans and queues: which displays would lose what they play."""

from collections.abc import Collection
from typing import Final

from sqlalchemy import Connection, text

from sorafeed_assets.domain.catalog.blocklist import Kind, Target
from sorafeed_assets.storage.catalog.blocklist import is_excluded

_AHEAD: Final = """
SELECT DISTINCT d.id
FROM displays AS d
JOIN timeline_builds AS b ON b.id = d.active_build_id
CROSS JOIN LATERAL (
    SELECT CAST(e.loop ->> 'loop' AS integer) AS number, e.loop -> 'picks' AS picks
    FROM jsonb_array_elements(b.plan -> 'loops') AS e (loop)
) AS l
CROSS JOIN LATERAL (
    SELECT k.pick ->> 'video_id' AS post_id
    FROM jsonb_array_elements(l.picks) WITH ORDINALITY AS k (pick, place)
    WHERE l.number > d.loop_iteration
       OR (l.number = d.loop_iteration AND k.place > d.timeline_position)
) AS k
WHERE {picked}
ORDER BY d.id
"""
_PLAYING: Final = {
    Kind.POST: text(_AHEAD.format(picked="k.post_id = :id")),
    Kind.CREATOR: text(
        _AHEAD.format(
            picked="EXISTS (SELECT FROM sora_posts AS p"
            " WHERE p.id = k.post_id AND p.creator_id = :id)"
        )
    ),
}

_QUEUED: Final = text(f"""
SELECT t.display_id, array_agg(t.video_id ORDER BY t.loop_iteration, t.timeline_position) AS posts
FROM timeline_videos AS t LEFT JOIN sora_posts AS p ON p.id = t.video_id
WHERE EXISTS (SELECT FROM blocklist)
  AND (CAST(:ids AS text[]) IS NULL OR t.display_id = ANY(CAST(:ids AS text[])))
  AND {is_excluded("t.video_id", "p.creator_id")}
GROUP BY t.display_id
""")


def displays_playing(connection: Connection, target: Target) -> list[str]:
    """The displays whose plan has the post, or posts of the creator, from its head on."""
    return list(connection.scalars(_PLAYING[target.kind], {"id": target.id}))


def queued_excluded(
    connection: Connection, display_ids: Collection[str] | None = None
) -> dict[str, list[str]]:
    """Display → the excluded posts in its queue; of some displays or of all, others are missing."""
    asked = {"ids": None if display_ids is None else list(display_ids)}
    return {row.display_id: list(row.posts) for row in connection.execute(_QUEUED, asked)}
