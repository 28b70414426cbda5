"""SQL of `video_candidates`, the candidates kept of each term."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from math import ceil
from typing import Final

from sqlalchemy import Connection, text

from sorafeed_assets.domain.catalog.search import SearchQuery, SizeClass
from sorafeed_assets.domain.counts.pools import (
    LOW_BITS,
    NEWEST,
    RANDOM,
    Candidate,
    PoolDigest,
    PoolName,
)
from sorafeed_assets.domain.playlists.playlist import FetchMode
from sorafeed_assets.storage.catalog.match_rule import COUNTED_MATCHES, match_parameters
from sorafeed_assets.storage.catalog.matches import Match, MatchQuery
from sorafeed_assets.storage.catalog.pages import FIRST_LOOK, read_page
from sorafeed_assets.storage.postgres.copy import copy_rows

# The next match is seldom further away than this many times the mean distance.
_SPARE: Final = 4

_STAGE: Final = """
CREATE TEMP TABLE staged_candidates (
    term text, size_class text, pool text, post_id text, posted_at bigint, id_hash bigint
) ON COMMIT DROP
"""
_MOMENT: Final = "timestamptz '2000-01-01 00:00+00' + s.posted_at * interval '1 microsecond'"

_NOT_STAGED: Final = f"""NOT EXISTS (
      SELECT FROM staged_candidates s
      WHERE (s.term, s.size_class, s.pool, s.post_id) =
            (c.term, c.size_class, c.pool, c.post_id) AND {_MOMENT} = c.posted_at)"""

# Rows of changed posts that no longer match, or have another place in the order.
_DROP_CHANGED: Final = f"""
DELETE FROM video_candidates c WHERE c.post_id = ANY(:posts) AND {_NOT_STAGED}
RETURNING c.term, c.size_class, c.pool
"""

# Rows of the days gathered again, and of deleted posts, that were not gathered.
_DROP_DAYS: Final = f"""
DELETE FROM video_candidates c
WHERE {_NOT_STAGED}
  AND NOT EXISTS (
      SELECT FROM sora_posts p
      WHERE p.id = c.post_id AND catalog_day(p.indexed_at) <> ALL(CAST(:days AS date[])))
RETURNING c.term, c.size_class, c.pool
"""
_DROP_OTHERS: Final = f"""
DELETE FROM video_candidates c
WHERE (c.term, c.size_class, c.pool) NOT IN (
      SELECT * FROM unnest(
          CAST(:terms AS text[]), CAST(:size_classes AS text[]), CAST(:pools AS text[])))
  AND {_NOT_STAGED}
RETURNING c.term, c.size_class, c.pool
"""

# As `PoolGatherer.digests`; double precision holds microseconds exactly beyond the year 2200.
_DIGESTS: Final = f"""
SELECT term, size_class, pool, count(*), bit_xor(id_hash), bit_xor(posted),
       bit_xor((id_hash & {LOW_BITS}) * (posted & {LOW_BITS}))
FROM (
    SELECT *, round(date_part('epoch', posted_at - timestamptz '2000-01-01 00:00+00') * 1e6)::bigint
              AS posted
    FROM video_candidates
) AS c
GROUP BY term, size_class, pool
"""

_MERGE: Final = f"""
WITH written AS (
    INSERT INTO video_candidates (term, size_class, pool, post_id, posted_at, id_hash)
    SELECT s.term, s.size_class, s.pool, s.post_id, {_MOMENT}, s.id_hash
    FROM staged_candidates s
    WHERE NOT EXISTS (  -- most exist, and this check is cheaper than a conflict
        SELECT FROM video_candidates c
        WHERE (c.term, c.size_class, c.pool, c.post_id) =
              (s.term, s.size_class, s.pool, s.post_id))
    ON CONFLICT DO NOTHING
    RETURNING term, size_class, pool
)
SELECT DISTINCT term, size_class, pool FROM written
"""

# The order in which posts leave a pool that has too many: the last of the pool's order first.
_LAST_FIRST: Final = {NEWEST: "posted_at, post_id", RANDOM: "id_hash DESC, post_id DESC"}

# By ctid, so that the plan does not depend on estimates of the pools' sizes.
_TRIM: Final = {
    pool: f"""
DELETE FROM video_candidates WHERE ctid = ANY(ARRAY(
    SELECT last.ctid
    FROM candidate_pools p CROSS JOIN LATERAL (
        SELECT v.ctid FROM video_candidates v
        WHERE v.pool = '{pool}' AND v.term = p.term AND v.size_class = p.size_class
        ORDER BY {order} LIMIT p.posts - :size
    ) AS last
    WHERE p.pool = '{pool}' AND p.posts > :size
))
"""
    for pool, order in _LAST_FIRST.items()
}

# The order value of the last post of each full pool, which a new post must reach.
_BOUNDS: Final = {
    pool: f"""
SELECT p.term, p.size_class, last.value
FROM candidate_pools p CROSS JOIN LATERAL (
    SELECT {value} AS value FROM video_candidates v
    WHERE v.pool = '{pool}' AND v.term = p.term AND v.size_class = p.size_class
    ORDER BY {_LAST_FIRST[pool]} LIMIT 1
) AS last
WHERE p.pool = '{pool}' AND p.posts >= :size
"""
    for pool, value in (
        (NEWEST, "(extract(epoch FROM posted_at - '2000-01-01 00:00+00') * 1000000)::bigint"),
        (RANDOM, "id_hash"),
    )
}

_FIRST: Final = {
    pool: f"""
SELECT id, posted_at, id_hash FROM sora_posts
WHERE size_class = :size_class AND {COUNTED_MATCHES}
ORDER BY {order} LIMIT :size
"""
    for pool, order in ((NEWEST, "posted_at DESC, id DESC"), (RANDOM, "id_hash, id"))
}

_REFILL: Final = {
    pool: f"""
INSERT INTO video_candidates (term, size_class, pool, post_id, posted_at, id_hash)
SELECT :term, :size_class, '{pool}', id, posted_at, id_hash FROM ({first}) AS firsts
ON CONFLICT DO NOTHING
"""
    for pool, first in _FIRST.items()
}

# A place just before the last post of a pool and those that tie with it, and their number.
_END: Final = {
    NEWEST: """
SELECT 0, CAST(posted_at + interval '1 microsecond' AS text), count(*)
FROM video_candidates v
WHERE v.pool = 'newest' AND (v.term, v.size_class) = (:term, :size_class) AND posted_at = (
    SELECT min(posted_at) FROM video_candidates
    WHERE pool = 'newest' AND (term, size_class) = (:term, :size_class))
GROUP BY posted_at
""",
    RANDOM: """
SELECT id_hash, '', count(*)
FROM video_candidates v
WHERE v.pool = 'random' AND (v.term, v.size_class) = (:term, :size_class) AND id_hash = (
    SELECT max(id_hash) FROM video_candidates
    WHERE pool = 'random' AND (term, size_class) = (:term, :size_class))
GROUP BY id_hash
""",
}

_APPEND: Final = """
INSERT INTO video_candidates (term, size_class, pool, post_id, posted_at, id_hash)
SELECT :term, :size_class, :pool, id, posted_at, id_hash FROM sora_posts WHERE id = ANY(:ids)
ON CONFLICT DO NOTHING
"""

_SIZES: Final = "SELECT term, size_class, pool, posts FROM candidate_pools"

# How many posts of each shape a counted term matches, by its counts.
_MATCHING: Final = """
SELECT t.term, s.size_class,
       coalesce(sum(CASE
           WHEN s.size_class = d.format THEN d.count
           WHEN s.size_class = 'other' AND d.format = 'mixed' THEN d.count
           WHEN s.size_class = 'other' THEN -d.count
       END), 0)::bigint
FROM search_terms t
CROSS JOIN (VALUES ('wide'), ('tall'), ('other')) AS s (size_class)
LEFT JOIN video_counts_daily d ON d.term = t.term
WHERE t.counted_at IS NOT NULL AND (CAST(:terms AS text[]) IS NULL OR t.term = ANY(:terms))
GROUP BY t.term, s.size_class
"""

_VERSION: Final = """
SELECT count(*),
       coalesce(md5(string_agg(concat_ws(E'\\x1f', term, size_class, pool, posts, digest), E'\\x1e'
                               ORDER BY term, size_class, pool)), md5('')),
       coalesce(sum(posts), 0)
FROM candidate_pools
"""


@dataclass(frozen=True, slots=True, order=True)
class PoolKey:
    """One pool: a term, a shape, an order."""

    term: str
    size_class: str
    pool: str


def stage_candidates(connection: Connection, candidates: Iterable[Candidate]) -> int:
    """Stage candidates for the functions that drop and merge; returns how many."""
    connection.execute(text("DROP TABLE IF EXISTS staged_candidates"))
    connection.execute(text(_STAGE))
    staged = copy_rows(connection, "staged_candidates", Candidate._fields, candidates)
    connection.execute(text("ANALYZE staged_candidates"))
    return staged


def drop_changed(connection: Connection, posts: Collection[str]) -> list[PoolKey]:
    """Remove changed posts that are not staged unchanged; returns the pool of each removed row."""
    rows = connection.execute(text(_DROP_CHANGED), {"posts": sorted(posts)})
    return [PoolKey(*row) for row in rows]


def drop_days(connection: Connection, days: Collection[object]) -> list[PoolKey]:
    """Remove unstaged rows of whole days and deleted posts; returns the pool of each row."""
    rows = connection.execute(text(_DROP_DAYS), {"days": list(days)})
    return [PoolKey(*row) for row in rows]


def drop_others(connection: Connection, unchanged: Collection[PoolName]) -> list[PoolKey]:
    """Remove unstaged rows after all days were read; returns the pool of each row.

    Pools that are ``unchanged`` are not staged.
    """
    columns = zip(*unchanged, strict=True) if unchanged else ((), (), ())
    names = dict(zip(("terms", "size_classes", "pools"), map(list, columns), strict=True))
    return [PoolKey(*row) for row in connection.execute(text(_DROP_OTHERS), names)]


def pool_digests(connection: Connection) -> dict[PoolName, PoolDigest]:
    """The digest of each pool, as in `PoolGatherer.digests`."""
    return {
        (term, size_class, pool): PoolDigest(*digest)
        for term, size_class, pool, *digest in connection.execute(text(_DIGESTS))
    }


def merge_staged(connection: Connection) -> set[PoolKey]:
    """Insert staged candidates into their pools; returns the pools that changed."""
    return {PoolKey(*row) for row in connection.execute(text(_MERGE))}


def pool_bounds(connection: Connection, size: int) -> dict[tuple[str, str, str], int]:
    """(term, size class, pool) → the order value of the last post of a pool that is full."""
    return {
        (term, size_class, pool): int(value)
        for pool, statement in _BOUNDS.items()
        for term, size_class, value in connection.execute(text(statement), {"size": size})
    }


def trim_pools(connection: Connection, size: int) -> int:
    """Trim every pool to its first ``size`` posts; returns how many rows were deleted."""
    return sum(
        connection.execute(text(statement), {"size": size}).rowcount for statement in _TRIM.values()
    )


def refill_pool(connection: Connection, key: PoolKey, query: SearchQuery, size: int) -> None:
    """Fill a pool with the first ``size`` matching posts of the whole catalogue."""
    connection.execute(
        text(_REFILL[key.pool]),
        {
            "term": key.term,
            "size_class": key.size_class,
            "size": size,
            **match_parameters(query),
        },
    )


def extend_pool(
    connection: Connection, key: PoolKey, query: SearchQuery, missing: int, *, share: float
) -> bool:
    """Add the next ``missing`` matches after the last post of a pool; False for an empty pool.

    The pool has to hold every match up to its last post. ``share`` is that of posts that match.
    """
    names = {"term": key.term, "size_class": key.size_class}
    end = connection.execute(text(_END[key.pool]), names).one_or_none()
    if end is None:
        return False
    id_hash, moment, ties = end
    asked = MatchQuery(query, SizeClass(key.size_class), FetchMode(key.pool))
    wanted = missing + ties
    look = min(FIRST_LOOK, ceil(_SPARE * wanted / share))
    found = read_page(connection, asked, wanted, Match("", id_hash, moment), look=look)
    ids = [match.post_id for match in found]
    connection.execute(text(_APPEND), {**names, "pool": key.pool, "ids": ids})
    return True


def first_matching(
    connection: Connection, key: PoolKey, query: SearchQuery, size: int
) -> list[str]:
    """The post ids that a pool should hold, by a direct query, in the pool's order."""
    return list(
        connection.scalars(
            text(_FIRST[key.pool]),
            {"size_class": key.size_class, "size": size, **match_parameters(query)},
        )
    )


def pool_posts(connection: Connection, key: PoolKey) -> set[str]:
    """The post ids of a pool."""
    statement = text(
        "SELECT post_id FROM video_candidates"
        " WHERE (term, size_class, pool) = (:term, :size_class, :pool)"
    )
    parameters = {"term": key.term, "size_class": key.size_class, "pool": key.pool}
    return set(connection.scalars(statement, parameters))


def pool_sizes(connection: Connection) -> dict[PoolKey, int]:
    """How many posts each pool holds; an empty one is missing."""
    return {PoolKey(*key): int(posts) for *key, posts in connection.execute(text(_SIZES))}


def matching_by_shape(
    connection: Connection, terms: Collection[str] | None = None
) -> dict[tuple[str, str], int]:
    """(term, size class) → matching posts, of the counted terms, or those of ``terms``."""
    names = None if terms is None else sorted(terms)
    rows = connection.execute(text(_MATCHING), {"terms": names})
    return {(term, size_class): int(posts) for term, size_class, posts in rows}


def pools_version(connection: Connection) -> tuple[int, str, int]:
    """The number of pools, a digest of their contents, and the total number of posts."""
    pools, digest, posts = connection.execute(text(_VERSION)).one()
    return int(pools), str(digest), int(posts)
