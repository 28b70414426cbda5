"""Displays of a benchmark: cleared, given a history of plays, and compared with the rule."""

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import Connection, text

from sorafeed_assets.domain.catalog.search import Format, SearchQuery
from sorafeed_assets.storage.catalog.match_rule import MATCHES, match_parameters

# Removes the data of earlier rounds, so that each round starts alike.
_CLEAR: Final = (
    text("UPDATE displays SET active_build_id = NULL, current_playlist_id = NULL"),
    text("DELETE FROM timeline_videos"),
    text("DELETE FROM displays"),
    text("DELETE FROM video_history"),
)

# Plays of a display since its dedup_since, of posts from the whole catalogue.
_PLAY: Final = text("""
WITH posts AS (
    SELECT array_agg(id) AS ids FROM (SELECT id FROM sora_posts ORDER BY id LIMIT :plays) AS first
)
INSERT INTO video_history (display_id, video_id, loop_iteration, played_at)
SELECT d.id, p.ids[1 + n % cardinality(p.ids)], 0, d.dedup_since + n * interval '1 microsecond'
FROM displays AS d, posts AS p, generate_series(1, :plays) AS n
WHERE d.id = ANY(:displays)
""")
_VACUUM_PLAYS: Final = text("VACUUM (ANALYZE) video_history")

_PLAYED: Final = text("""
SELECT CAST(timeline_video_id AS text) FROM video_history
WHERE display_id = ANY(CAST(:displays AS text[])) AND timeline_video_id IS NOT NULL
""")

_PLAN: Final = text("""
SELECT b.plan FROM displays d JOIN timeline_builds b ON b.id = d.active_build_id
WHERE d.id = :display
""")
_BLOCKS: Final = text("""
SELECT b.id::text FROM playlist_blocks b JOIN playlists p ON p.id = b.playlist_id
WHERE p.display_id = :display AND p.is_active ORDER BY b.block_order
""")

_MATCHING: Final = text(f"""
SELECT count(*) FROM sora_posts
WHERE id = ANY(:ids) AND {MATCHES}
  AND (CAST(:format AS text) = 'mixed' OR size_class = :format)
""")


def clear_displays(connection: Connection) -> None:
    """Delete every display, with its plays."""
    for statement in _CLEAR:
        connection.execute(statement)


def record_plays(connection: Connection, displays: Collection[str], plays: int) -> None:
    """Give each of the displays a history of this many plays."""
    connection.execute(_PLAY, {"displays": list(displays), "plays": plays})


def vacuum_plays(connection: Connection) -> None:
    """Do what autovacuum does within a minute; takes a connection in autocommit."""
    connection.execute(_VACUUM_PLAYS)


def played_entries(connection: Connection, displays: Collection[str]) -> list[str]:
    """The queue rows that these displays have played."""
    return list(connection.scalars(_PLAYED, {"displays": list(displays)}))


def active_plan(connection: Connection, display: str) -> Any:
    """A display's plan as stored."""
    return connection.execute(_PLAN, {"display": display}).scalar_one()


def active_blocks(connection: Connection, display: str) -> list[str]:
    """The ids of a display's active blocks, in order."""
    return list(connection.scalars(_BLOCKS, {"display": display}))


def count_matching(
    connection: Connection, ids: Collection[str], query: SearchQuery, format_: Format
) -> int:
    """How many of these posts match."""
    values = {"ids": list(ids), "format": format_.value, **match_parameters(query)}
    return int(connection.scalar(_MATCHING, values) or 0)
