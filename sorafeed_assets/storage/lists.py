"""SQL of the API's lists: pages by keyset, and batches by id."""

from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    RowMapping,
    Select,
    literal_column,
    or_,
    select,
    text,
    tuple_,
)

from sorafeed_assets.domain.catalog.search import like_pattern
from sorafeed_assets.storage.counts.jobs import PROBLEM
from sorafeed_assets.storage.display_json import Field, display_json
from sorafeed_assets.storage.postgres.tables import display_tags, displays


class DisplayOrder(StrEnum):
    """How displays are listed."""

    CODE = "code"
    NAME = "name"
    NEWEST = "newest"


_LOAD_DISPLAYS: Final = text("""
SELECT d.id, d.name, d.status, d.created_at, d.last_ping, d.is_muted,
       CASE WHEN d.last_state_change IS NULL THEN 'playing' ELSE d.playback_state END
           AS playback_state,
       d.loop_iteration, d.timeline_position, d.current_timeline_video_id, d.dedup_since,
       d.active_build_id, b.created_at AS built_at,
       b.playlist_id AS built_playlist_id, p.id AS active_playlist_id,
       p.name AS active_playlist,
       h.video_id AS now_video_id, left(h.video_data ->> 'text', 120) AS now_text,
       coalesce(h.status = 'playing', false) AS is_shown,
       (SELECT count(*) FROM timeline_videos v WHERE v.display_id = d.id) AS queued,
       CASE WHEN jsonb_array_length(b.dry_blocks) > 0 THEN ARRAY(
           SELECT k.search_term FROM playlist_blocks k
           WHERE k.playlist_id = b.playlist_id AND b.dry_blocks ? k.id::text
           ORDER BY k.block_order
       ) END AS dry_searches,
       d.plan_problem,
       h.video_data ->> 'thumbnail_url' AS now_thumbnail,
       CAST(h.video_data ->> 'width' AS integer) AS now_width,
       CAST(h.video_data ->> 'height' AS integer) AS now_height,
       (SELECT left(string_agg(n.name, ' ' ORDER BY n.created_at DESC), 400)
        FROM playlists n WHERE n.display_id = d.id) AS playlist_names,
       ARRAY(SELECT t.tag FROM display_tags t WHERE t.display_id = d.id ORDER BY t.tag) AS tags
FROM displays d
LEFT JOIN timeline_builds b ON b.id = d.active_build_id
LEFT JOIN playlists p ON p.display_id = d.id AND p.is_active
LEFT JOIN timeline_videos h ON h.id = d.current_timeline_video_id
WHERE CAST(:ids AS text[]) IS NULL OR d.id = ANY(:ids)
ORDER BY d.id
""")

_LOAD_PLAYLISTS: Final = text("""
SELECT id, display_id, name, is_active, created_at, updated_at, loop_count, total_blocks,
       total_videos
FROM playlists WHERE id = ANY(CAST(:ids AS uuid[]))
""")

# The newest first, a page for each display.
_PLAYLISTS_OF: Final = text("""
SELECT p.* FROM unnest(CAST(:ids AS text[])) AS d (id)
CROSS JOIN LATERAL (
    SELECT id, display_id, name, is_active, created_at, updated_at, loop_count, total_blocks,
           total_videos
    FROM playlists
    WHERE display_id = d.id AND (created_at, id) < (CAST(:moment AS timestamptz), :after)
    ORDER BY created_at DESC, id DESC LIMIT :size
) AS p
""")

_BLOCKS_OF: Final = text("""
SELECT b.id, b.playlist_id, p.display_id, b.search_term, b.video_count, b.fetch_mode, b.format,
       b.block_order, b.times_played, b.last_played_at
FROM playlist_blocks b JOIN playlists p ON p.id = b.playlist_id
WHERE b.playlist_id = ANY(CAST(:ids AS uuid[]))
ORDER BY b.playlist_id, b.block_order
""")

# The different videos that a block has shown since its display's `dedup_since`.
_SEEN: Final = text("""
SELECT b.id, count(DISTINCT h.video_id) AS seen
FROM playlist_blocks b
JOIN playlists p ON p.id = b.playlist_id
JOIN displays d ON d.id = p.display_id
JOIN video_history h
  ON h.block_id = b.id AND h.display_id = d.id AND h.played_at >= d.dedup_since
WHERE b.id = ANY(CAST(:ids AS uuid[]))
GROUP BY b.id
""")

_TOTALS: Final = text("""
SELECT search_term, format, total_count FROM video_counts_by_search
WHERE search_term = ANY(CAST(:terms AS text[]))
""")

_BUILDS: Final = text("""
SELECT id, display_id, playlist_id, playlist_version, loop_iteration, created_at, content_hash,
       jsonb_array_length(dry_blocks) AS dry,
       (SELECT coalesce(sum(jsonb_array_length(l.loop -> 'picks')), 0)
        FROM jsonb_array_elements(plan -> 'loops') AS l (loop)) AS planned
FROM timeline_builds WHERE display_id = ANY(CAST(:ids AS text[]))
ORDER BY display_id, id DESC
""")

_TERMS: Final = text(f"""
SELECT t.term, EXISTS (SELECT FROM watched_terms w WHERE w.term = t.term) AS is_watched,
       t.counted_at, {PROBLEM} AS problem, j.attempts
FROM search_terms t LEFT JOIN count_jobs j ON j.term = t.term
WHERE t.term > :after AND t.term LIKE :pattern
ORDER BY t.term LIMIT :size
""")

_IS_TRACKED: Final = text("SELECT EXISTS (SELECT FROM search_terms WHERE term = :term)")

_POSTS: Final = text("""
SELECT p.id, p.text, p.posted_at, p.permalink, p.video_url, p.video_url_md, p.thumbnail_url,
       p.gif_url, p.width, p.height, c.username, c.display_name
FROM sora_posts p LEFT JOIN creators c ON c.id = p.creator_id
WHERE p.id = ANY(CAST(:ids AS text[]))
""")

_COUNT_DISPLAYS: Final = text("SELECT count(*) FROM displays")


class After(NamedTuple):
    """The time and id of the last row of the previous page; newest first."""

    moment: datetime | str
    id: UUID


FIRST_PAGE: Final = After("infinity", UUID(int=2**128 - 1))


def display_page(
    connection: Connection,
    order: DisplayOrder,
    search: str | None,
    after: Sequence[Any] | None,
    size: int,
    tag: str | None = None,
) -> list[str]:
    """The codes of the next ``size`` displays; ``after`` is the sort key of the last one."""
    chosen = select(displays.c.id)
    if tag is not None:
        tagged = select(display_tags.c.display_id).where(display_tags.c.tag == tag)
        chosen = chosen.where(displays.c.id.in_(tagged))
    statement = _page(chosen, displays, order, search, after, size)
    return list(connection.scalars(statement))


def display_json_page(
    connection: Connection,
    shapes: Sequence[tuple[Field, ...]],
    order: DisplayOrder,
    search: str | None,
    after: Sequence[Any] | None,
    size: int,
) -> Sequence[Row[Any]]:
    """The next ``size`` displays: id, name, created_at, and their JSON in each of ``shapes``."""
    key = None if after is None else tuple(after)
    return connection.execute(_json_page(tuple(shapes), order, search, key, size)).all()


@lru_cache(maxsize=100)
def _json_page(
    shapes: tuple[tuple[Field, ...], ...],
    order: DisplayOrder,
    search: str | None,
    after: tuple[Any, ...] | None,
    size: int,
) -> Select[Any]:
    d = _page(select(displays), displays, order, search, after, size).subquery("d")
    texts: list[ColumnElement[str]] = [literal_column(display_json(shape)) for shape in shapes]
    statement = select(d.c.id, d.c.name, d.c.created_at, *texts)
    return statement.order_by(*_order(d, order))


def _page(
    statement: Select[Any],
    table: FromClause,
    order: DisplayOrder,
    search: str | None,
    after: Sequence[Any] | None,
    size: int,
) -> Select[Any]:
    c = table.c
    if search:
        pattern = like_pattern(search)
        statement = statement.where(or_(c.name.ilike(pattern), c.id.ilike(pattern)))
    if after is not None:
        row, last = tuple_(*_keys(table, order)), tuple_(*after)
        statement = statement.where(row < last if order is DisplayOrder.NEWEST else row > last)
    # The size is a literal: with a parameter PostgreSQL would plan each execution.
    return statement.order_by(*_order(table, order)).limit(literal_column(str(int(size))))


def _keys(table: FromClause, order: DisplayOrder) -> tuple[ColumnElement[Any], ...]:
    c = table.c
    return {
        DisplayOrder.CODE: (c.id,),
        DisplayOrder.NAME: (c.name, c.id),
        DisplayOrder.NEWEST: (c.created_at, c.id),
    }[order]


def _order(table: FromClause, order: DisplayOrder) -> list[ColumnElement[Any]]:
    keys = _keys(table, order)
    return [key.desc() for key in keys] if order is DisplayOrder.NEWEST else list(keys)


def load_displays(connection: Connection, ids: Collection[str] | None = None) -> Sequence[Row[Any]]:
    """Displays with what they play and the length of their queue; all without ids."""
    wanted = None if ids is None else sorted(set(ids))
    return connection.execute(_LOAD_DISPLAYS, {"ids": wanted}).all()


def count_displays(connection: Connection) -> int:
    """How many displays there are."""
    return int(connection.scalar(_COUNT_DISPLAYS) or 0)


def load_playlists(connection: Connection, ids: Collection[UUID]) -> Sequence[Row[Any]]:
    """Playlists by id, in no order."""
    return connection.execute(_LOAD_PLAYLISTS, {"ids": list(ids)}).all()


def playlists_of(
    connection: Connection, display_ids: Collection[str], size: int, after: After = FIRST_PAGE
) -> Sequence[Row[Any]]:
    """The next playlists of each display, the newest first."""
    values = {"ids": sorted(display_ids), "size": size, "moment": after.moment, "after": after.id}
    return connection.execute(_PLAYLISTS_OF, values).all()


def blocks_of(connection: Connection, playlist_ids: Collection[UUID]) -> Sequence[Row[Any]]:
    """The blocks of playlists, in order."""
    return connection.execute(_BLOCKS_OF, {"ids": list(playlist_ids)}).all()


def seen_of(connection: Connection, block_ids: Collection[UUID]) -> dict[UUID, int]:
    """How many different videos of each block were played; those with none are missing."""
    rows = connection.execute(_SEEN, {"ids": list(block_ids)})
    return {row.id: row.seen for row in rows}


def totals_of(connection: Connection, terms: Collection[str]) -> dict[tuple[str, str], int]:
    """(term, format) → total of those terms that are counted."""
    rows = connection.execute(_TOTALS, {"terms": sorted(terms)})
    return {(row.search_term, row.format): row.total_count for row in rows}


def builds_of(connection: Connection, display_ids: Collection[str]) -> Sequence[RowMapping]:
    """The builds that are kept of each display, the newest first."""
    return connection.execute(_BUILDS, {"ids": sorted(display_ids)}).mappings().all()


def terms_page(connection: Connection, search: str, after: str, size: int) -> Sequence[RowMapping]:
    """The next tracked terms that contain ``search``, in order."""
    values = {"after": after, "pattern": like_pattern(search), "size": size}
    return connection.execute(_TERMS, values).mappings().all()


def is_term_tracked(connection: Connection, term: str) -> bool:
    """Whether counts of a normalized term are kept, or follow."""
    return bool(connection.scalar(_IS_TRACKED, {"term": term}))


def load_posts(connection: Connection, ids: Collection[str]) -> dict[str, RowMapping]:
    """Posts by id; unknown ones are missing."""
    rows = connection.execute(_POSTS, {"ids": sorted(ids)}).mappings()
    return {row["id"]: row for row in rows}
