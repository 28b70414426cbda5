"""SQL of what displays have played since dedup_since, in microseconds of the epoch."""

from collections.abc import Collection, Mapping
from typing import Final

from sqlalchemy import Connection, text

from sorafeed_assets.domain.digest import canonical_json

_RECENT: Final = text("""
SELECT d.id, h.videos, h.moments
FROM displays AS d
CROSS JOIN LATERAL (
    SELECT array_agg(video_id ORDER BY played_at) AS videos,
        array_agg(CAST(extract(epoch FROM played_at) * 1000000 AS bigint) ORDER BY played_at)
            AS moments
    FROM (
        SELECT video_id, played_at FROM video_history
        WHERE display_id = d.id AND played_at >= d.dedup_since
        ORDER BY played_at DESC LIMIT :most
    ) AS recent
) AS h
WHERE d.id = ANY(CAST(:display_ids AS text[])) AND h.videos IS NOT NULL
""")

# Each post is looked up separately, so the cost does not depend on the number of plays.
_LAST: Final = text("""
SELECT d.id, array_agg(v.id) AS videos,
    array_agg(CAST(extract(epoch FROM h.played_at) * 1000000 AS bigint)) AS moments
FROM json_to_recordset(CAST(:asked AS json)) AS a (display_id text, videos json)
JOIN displays AS d ON d.id = a.display_id
CROSS JOIN LATERAL json_array_elements_text(a.videos) AS v (id)
CROSS JOIN LATERAL (
    SELECT max(played_at) AS played_at FROM video_history
    WHERE display_id = d.id AND video_id = v.id AND played_at >= d.dedup_since
) AS h
WHERE h.played_at IS NOT NULL
GROUP BY d.id
""")


def recent_plays(
    connection: Connection, display_ids: Collection[str], most: int
) -> dict[str, list[tuple[str, int]]]:
    """Display → its last plays, ``most`` at most, as (post, when), the latest last.

    A display that has played nothing is missing.
    """
    values = {"display_ids": list(display_ids), "most": most}
    return {
        row.id: list(zip(row.videos, row.moments, strict=True))
        for row in connection.execute(_RECENT, values)
    }


def last_plays(
    connection: Connection, posts: Mapping[str, Collection[str]]
) -> dict[str, dict[str, int]]:
    """By display: when it last played each of these posts; those not played are missing."""
    asked = [{"display_id": code, "videos": sorted(ids)} for code, ids in posts.items()]
    rows = connection.execute(_LAST, {"asked": canonical_json(asked)})
    return {row.id: dict(zip(row.videos, row.moments, strict=True)) for row in rows}
