"""SQL of the snapshots: totals, what plays next, and the admin page's overview."""

from collections.abc import Collection
from datetime import timedelta
from itertools import groupby
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, text

from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.storage.lineage_records import NOTHING
from sorafeed_assets.storage.timelines.advance import (
    CACHED_STATE,
    CachedState,
    PlayedTimeline,
    QueuedRow,
)

_TOTALS: Final = text("""
SELECT search_term, format, total_count FROM video_counts_by_search ORDER BY search_term, format
""")

_TOTAL: Final = text("""
SELECT total_count FROM video_counts_by_search WHERE search_term = :term AND format = :format
""")

_TIMELINES: Final = text("""
SELECT d.id AS display_id, d.active_build_id, b.playlist_id, b.content_hash,
       (SELECT l.data_version FROM lineage_records l
        WHERE l.asset = 'timeline_cache' AND l.partition = d.id
        ORDER BY l.id DESC LIMIT 1) AS recorded,
       d.loop_iteration AS loop,
       d.timeline_position AS position, v.id, v.video_id, v.block_id, v.loop_iteration,
       v.timeline_position, v.status, v.video_data
FROM displays d
LEFT JOIN timeline_builds b ON b.id = d.active_build_id
LEFT JOIN timeline_videos v ON v.display_id = d.id AND v.status IN ('queued', 'playing')
WHERE CAST(:display_ids AS text[]) IS NULL OR d.id = ANY(:display_ids)
ORDER BY d.id, v.loop_iteration, v.timeline_position
""")

# The video data of rows that the caller knows is left out.
_PLAYED: Final = text(f"""
SELECT d.id AS display_id, d.active_build_id AS build, d.loop_iteration AS loop,
    d.timeline_position AS position, {CACHED_STATE} AS cached,
    (SELECT json_agg(
        json_build_array(v.id, v.block_id, v.video_id, v.loop_iteration, v.timeline_position,
            v.queue_slot, v.status,
            CASE WHEN v.id = ANY(CAST(:known AS uuid[])) THEN NULL ELSE v.video_data END)
        ORDER BY v.loop_iteration, v.timeline_position)
     FROM timeline_videos v
     WHERE v.display_id = d.id AND v.status IN ('queued', 'playing')) AS videos
FROM displays d
LEFT JOIN timeline_builds b ON b.id = d.active_build_id
WHERE d.id = ANY(CAST(:display_ids AS text[]))
""")

_VERSION: Final = text("SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint)")

# The last record of each asset is what the partition holds.
_BEHIND: Final = text("""
SELECT d.id FROM displays d
CROSS JOIN LATERAL (
    SELECT l.data_version, l.created_at FROM lineage_records l
    WHERE l.asset = 'display_timelines' AND l.partition = d.id ORDER BY l.id DESC LIMIT 1
) AS planned
LEFT JOIN LATERAL (
    SELECT l.data_version FROM lineage_records l
    WHERE l.asset = 'timeline_cache' AND l.partition = d.id ORDER BY l.id DESC LIMIT 1
) AS cached ON true
WHERE (CAST(:ids AS text[]) IS NULL OR d.id = ANY(CAST(:ids AS text[])))
  AND planned.created_at < now() - CAST(:age AS interval)
  AND cached.data_version IS DISTINCT FROM planned.data_version
""")

# One statement, so that all parts are consistent.
_ADMIN: Final = text("""
SELECT
    (SELECT coalesce(jsonb_agg(jsonb_build_object(
                'id', d.id, 'name', d.name, 'status', d.status, 'playlist', p.name,
                'queued', coalesce(q.queued, 0), 'position', d.timeline_position,
                'loop', d.loop_iteration, 'build', d.active_build_id,
                'dry_blocks', coalesce(b.dry_blocks, '[]')) ORDER BY d.id), '[]')
     FROM displays d
     LEFT JOIN playlists p ON p.display_id = d.id AND p.is_active
     LEFT JOIN timeline_builds b ON b.id = d.active_build_id
     LEFT JOIN (SELECT display_id, count(*) AS queued FROM timeline_videos
                WHERE status IN ('queued', 'playing') GROUP BY display_id) q
            ON q.display_id = d.id) AS displays,
    (SELECT coalesce(sum(post_count), 0)::bigint FROM catalog_days) AS posts,
    (SELECT count(*) FROM search_terms) AS terms,
    (SELECT count(counted_at) FROM search_terms) AS counted_terms,
    (SELECT coalesce(jsonb_object_agg(search_term, totals), '{}')
     FROM (SELECT search_term, jsonb_object_agg(format, total_count) AS totals
           FROM video_counts_by_search GROUP BY search_term) c) AS counts
""")


def totals(connection: Connection) -> dict[tuple[str, Format], int]:
    """How many posts match each counted term, per format."""
    rows = connection.execute(_TOTALS)
    return {(row.search_term, Format(row.format)): row.total_count for row in rows}


def total(connection: Connection, term: str, format_: Format) -> int | None:
    """How many posts match a normalized term; None when it is not counted."""
    found: int | None = connection.scalar(_TOTAL, {"term": term, "format": format_.value})
    return found


def displays_behind(
    connection: Connection, ids: Collection[str] | None, age: timedelta
) -> set[str]:
    """Those of some displays, or of all, whose snapshot does not follow a plan older than this."""
    values = {"ids": None if ids is None else list(ids), "age": age}
    return set(connection.scalars(_BEHIND, values))


class TimelineSnapshot(NamedTuple):
    """A display's snapshot, and its last recorded data version."""

    value: dict[str, Any]
    recorded: str | None


def timeline_snapshots(
    connection: Connection, ids: Collection[str] | None = None
) -> dict[str, dict[str, Any]]:
    """What plays next on those of ``ids`` that exist, or on all displays.

    ``{build, version, playlist_id, loop, position, videos: [{id, video_id, block_id,
    loop_iteration, timeline_position, status, video}]}``, in playing order, with JSON types.
    ``version`` is that of the plan: the data version of `display_timelines`.
    """
    return {name: found.value for name, found in read_timelines(connection, ids).items()}


def read_timelines(
    connection: Connection, ids: Collection[str] | None = None
) -> dict[str, TimelineSnapshot]:
    """`timeline_snapshots`, with the recorded data version of `timeline_cache`."""
    wanted = None if ids is None else sorted(set(ids))
    snapshots: dict[str, TimelineSnapshot] = {}
    rows = connection.execute(_TIMELINES, {"display_ids": wanted})
    for display_id, group in groupby(rows, key=lambda row: row.display_id):
        lines = list(group)
        first = lines[0]
        value = {
            "build": first.active_build_id,
            "version": first.content_hash or NOTHING,
            "playlist_id": None if first.playlist_id is None else str(first.playlist_id),
            "loop": first.loop,
            "position": first.position,
            "videos": [
                {
                    "id": str(line.id),
                    "video_id": line.video_id,
                    "block_id": str(line.block_id),
                    "loop_iteration": line.loop_iteration,
                    "timeline_position": line.timeline_position,
                    "status": line.status,
                    "video": line.video_data,
                }
                for line in lines
                if line.id is not None
            ],
        }
        snapshots[display_id] = TimelineSnapshot(value, first.recorded)
    return snapshots


def read_played(
    connection: Connection, display_ids: Collection[str], known: Collection[str]
) -> list[PlayedTimeline]:
    """What plays next on these displays, without the videos of the queue rows ``known``."""
    values = {
        "display_ids": list(display_ids),
        "known": f"{{{','.join(known)}}}",
        "nothing": NOTHING,
    }
    return [
        PlayedTimeline(
            row.display_id,
            row.build,
            row.loop,
            row.position,
            CachedState(*row.cached),
            [QueuedRow(*line) for line in row.videos or ()],
        )
        for row in connection.execute(_PLAYED, values).all()
    ]


def snapshot_version(connection: Connection) -> int:
    """The version of snapshots that this transaction writes; a later transaction has a greater one.

    It is the id of the transaction, which must not have changed anything before it acquired the
    locks of its snapshots.
    """
    version: int = connection.execute(_VERSION).scalar_one()
    return version


def admin_snapshot(connection: Connection) -> dict[str, Any]:
    """The admin snapshot ``{displays, totals, counts}``, consistent at one moment.

    ``counts`` has, per term, the totals per format. The snapshot has no time stamp.
    """
    row = connection.execute(_ADMIN).one()
    return {
        "displays": row.displays,
        "totals": {
            "posts": row.posts,
            "terms": row.terms,
            "counted_terms": row.counted_terms,
        },
        "counts": row.counts,
    }
