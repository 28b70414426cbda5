"""SQL about many queues at once: which are short, which follow an outdated plan."""

from collections.abc import Collection
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, text

from sorafeed_assets.storage.lineage_records import NOTHING

# A display has as much ahead as its plan has; plans are read only for short queues.
_DEPTHS: Final = """
SELECT d.id AS display_id, q.queued, d.active_build_id IS NOT NULL AS is_built,
    CASE WHEN q.queued < :enough THEN s.planned - least(d.timeline_position, s.planned) END
        AS ahead,
    s.planned > 0 AS has_picks
FROM displays AS d
JOIN playlists AS p ON p.display_id = d.id AND p.is_active
CROSS JOIN LATERAL (
    SELECT count(*) AS queued FROM timeline_videos WHERE display_id = d.id
) AS q
CROSS JOIN LATERAL (
    SELECT coalesce(sum(jsonb_array_length(l.loop -> 'picks')), 0) AS planned
    FROM timeline_builds AS b,
        jsonb_array_elements(b.plan -> 'loops') AS l (loop)
    WHERE q.queued < :enough
        AND b.id = d.active_build_id AND CAST(l.loop ->> 'loop' AS integer) >= d.loop_iteration
) AS s
ORDER BY d.id
"""

# The version is computed as in `playlist_version`, so that of a thousand playlists only those that
# differ are read.
_DIFFERING: Final = """
SELECT d.id
FROM displays AS d
LEFT JOIN playlists AS p ON p.display_id = d.id AND p.is_active
LEFT JOIN timeline_builds AS b ON b.id = d.active_build_id
LEFT JOIN (
    SELECT k.playlist_id, left(encode(sha256(convert_to('[' || string_agg(
        '["' || k.id || '",' || to_json(k.search_term) || ',' || k.video_count || ',"'
        || k.fetch_mode || '","' || k.format || '",' || k.block_order || ']',
        ',' ORDER BY k.block_order) || ']', 'UTF8')), 'hex'), 32) AS version
    FROM playlist_blocks AS k
    WHERE k.playlist_id IN (
        SELECT id FROM playlists
        WHERE is_active AND (CAST(:ids AS text[]) IS NULL OR display_id = ANY(:ids)))
    GROUP BY k.playlist_id
) AS now ON now.playlist_id = p.id
WHERE (CAST(:ids AS text[]) IS NULL OR d.id = ANY(:ids))
    AND (p.id, now.version) IS DISTINCT FROM (b.playlist_id, b.playlist_version)
ORDER BY d.id
"""

_PLAN_PROBLEMS: Final = text("""
SELECT id, plan_problem FROM displays
WHERE plan_problem IS NOT NULL
  AND (CAST(:ids AS text[]) IS NULL OR id = ANY(CAST(:ids AS text[])))
ORDER BY id
""")

_DRY_SEARCHES: Final = text("""
SELECT d.id, array_agg(k.search_term ORDER BY k.block_order) AS searches
FROM displays AS d
JOIN timeline_builds AS b ON b.id = d.active_build_id AND jsonb_array_length(b.dry_blocks) > 0
JOIN playlist_blocks AS k
    ON k.playlist_id = b.playlist_id AND jsonb_exists(b.dry_blocks, CAST(k.id AS text))
GROUP BY d.id ORDER BY d.id
""")

_REPEATED_SEARCHES: Final = text("""
SELECT b.id, array_agg(k.search_term ORDER BY k.block_order) AS searches
FROM timeline_builds AS b
CROSS JOIN LATERAL (
    SELECT DISTINCT p.pick ->> 'block_id' AS block_id
    FROM jsonb_path_query(b.plan, '$.loops[*].picks[*] ? (@.tier == "repeat")') AS p (pick)
) AS r
JOIN playlist_blocks AS k ON k.playlist_id = b.playlist_id AND CAST(k.id AS text) = r.block_id
WHERE b.id = ANY(CAST(:ids AS bigint[]))
GROUP BY b.id
""")

_QUEUED_ON: Final = text("""
SELECT video_id, array_agg(DISTINCT display_id ORDER BY display_id) AS displays
FROM timeline_videos WHERE video_id = ANY(CAST(:ids AS text[]))
GROUP BY video_id
""")

_BUILT: Final = text("""
SELECT d.id, b.content_hash
FROM displays AS d LEFT JOIN timeline_builds AS b ON b.id = d.active_build_id
WHERE CAST(:ids AS text[]) IS NULL OR d.id = ANY(CAST(:ids AS text[]))
ORDER BY d.id
""")

_BUILT_PLAYLISTS: Final = text("""
SELECT d.id, b.playlist_id, b.playlist_version, b.id AS build_id
FROM displays AS d
JOIN timeline_builds AS b ON b.id = d.active_build_id
WHERE d.id = ANY(CAST(:ids AS text[]))
""")

_PLANNERS: Final = text("""
SELECT d.id, b.planner
FROM displays AS d
JOIN timeline_builds AS b ON b.id = d.active_build_id
WHERE CAST(:ids AS text[]) IS NULL OR d.id = ANY(CAST(:ids AS text[]))
""")

_PLACES: Final = text("""
SELECT id, active_build_id, loop_iteration, timeline_position FROM displays
WHERE active_build_id IS NOT NULL
""")

_PLAN_ENDS: Final = text("""
SELECT id, CAST(plan -> 'loops' -> -1 ->> 'loop' AS integer) AS loop,
    jsonb_array_length(plan -> 'loops' -> -1 -> 'picks') AS picks
FROM timeline_builds
WHERE id = ANY(CAST(:ids AS bigint[])) AND jsonb_array_length(plan -> 'loops') > 0
""")

_UNMATCHED_PICKS: Final = """
SELECT k.n
FROM unnest(CAST(:numbers AS integer[]), CAST(:post_ids AS text[]), CAST(:formats AS text[]))
    AS k (n, post_id, format)
JOIN sora_posts AS p ON p.id = k.post_id
WHERE k.format <> 'mixed' AND p.size_class <> k.format
"""


class Depth(NamedTuple):
    """How far a display's queue and its plan reach (None: further than requested).

    ``has_picks`` distinguishes a short plan that ran out from one in which every block is dry.
    """

    display_id: str
    queued: int
    is_built: bool
    ahead: int | None
    has_picks: bool


class Place(NamedTuple):
    """A display's position in its active plan."""

    display_id: str
    build_id: int
    loop: int
    position: int


def load_places(connection: Connection) -> list[Place]:
    """The position of every display with a plan."""
    return [Place(*row) for row in connection.execute(_PLACES)]


def load_plan_ends(
    connection: Connection, build_ids: Collection[int]
) -> dict[int, tuple[int, int]]:
    """By build: the last loop of its plan, and how many picks that has."""
    if not build_ids:
        return {}
    rows = connection.execute(_PLAN_ENDS, {"ids": list(build_ids)})
    return {row.id: (row.loop, row.picks) for row in rows}


def load_depths(connection: Connection, enough: int) -> list[Depth]:
    """Every display with an active playlist; plans are read for queues below ``enough`` rows."""
    return [Depth(*row) for row in connection.execute(text(_DEPTHS), {"enough": enough})]


def load_differing(connection: Connection, display_ids: Collection[str] | None) -> list[str]:
    """Those of some displays, or of all, whose build does not play their current playlist."""
    asked = {"ids": None if display_ids is None else list(display_ids)}
    return list(connection.scalars(text(_DIFFERING), asked))


def load_built_playlists(
    connection: Connection, display_ids: Collection[str]
) -> dict[str, tuple[UUID, str, int]]:
    """By display: the playlist of its active build, that playlist's version, and the build."""
    rows = connection.execute(_BUILT_PLAYLISTS, {"ids": list(display_ids)})
    return {row.id: (row.playlist_id, row.playlist_version, row.build_id) for row in rows}


def load_planners(
    connection: Connection, display_ids: Collection[str] | None = None
) -> dict[str, str]:
    """Display → the planner that made its active build; of some displays or of all."""
    asked = {"ids": None if display_ids is None else list(display_ids)}
    return {row.id: row.planner for row in connection.execute(_PLANNERS, asked)}


def load_plan_problems(
    connection: Connection, display_ids: Collection[str] | None = None
) -> dict[str, str]:
    """Those of some displays, or of all, that could not be planned when last tried, and why."""
    asked = {"ids": None if display_ids is None else list(display_ids)}
    return {row.id: row.plan_problem for row in connection.execute(_PLAN_PROBLEMS, asked)}


def load_repeated_searches(connection: Connection, ids: Collection[int]) -> dict[int, list[str]]:
    """Build → the searches of which it repeats videos; builds that repeat none are missing."""
    rows = connection.execute(_REPEATED_SEARCHES, {"ids": sorted(ids)})
    return {row.id: list(row.searches) for row in rows}


def load_dry_searches(connection: Connection) -> dict[str, list[str]]:
    """Display → the searches of its active build that no post matches, in playing order."""
    return {row.id: list(row.searches) for row in connection.execute(_DRY_SEARCHES)}


def load_queued_on(connection: Connection, post_ids: Collection[str]) -> dict[str, list[str]]:
    """Post → the displays that have it in their queue, sorted; other posts are missing."""
    rows = connection.execute(_QUEUED_ON, {"ids": list(post_ids)})
    return {row.video_id: list(row.displays) for row in rows}


def built_versions(
    connection: Connection, display_ids: Collection[str] | None = None
) -> dict[str, str]:
    """Display → the content hash of its active build, or ``none``; of some displays or of all."""
    asked = {"ids": None if display_ids is None else list(display_ids)}
    return {row.id: row.content_hash or NOTHING for row in connection.execute(_BUILT, asked)}


def wrong_formats(connection: Connection, picks: Collection[tuple[int, str, str]]) -> set[int]:
    """Of (number, post id, format): the numbers whose post has another shape."""
    numbers, post_ids, formats = zip(*picks, strict=True) if picks else ((), (), ())
    rows = connection.execute(
        text(_UNMATCHED_PICKS),
        {"numbers": list(numbers), "post_ids": list(post_ids), "formats": list(formats)},
    )
    return {row.n for row in rows}
