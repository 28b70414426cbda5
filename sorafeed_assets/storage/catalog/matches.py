"""SQL of the candidates that blocks pick from, and of picks that no longer match."""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from sorafeed_assets.domain.catalog.search import Format, SearchQuery, SizeClass
from sorafeed_assets.domain.playlists.playlist import FetchMode
from sorafeed_assets.storage.catalog.blocklist import is_excluded
from sorafeed_assets.storage.catalog.match_rule import match_parameters

# Both sides of ILIKE are columns here, so the collation of the match rule must be explicit.
_STALE_MATCHES: Final = f"""
SELECT k.n, k.post_id
FROM unnest(CAST(:numbers AS integer[]), CAST(:post_ids AS text[])) AS k (n, post_id)
JOIN jsonb_to_recordset(CAST(:queries AS jsonb))
  AS q (n integer, phrase text, exclusions text[], format text) ON q.n = k.n
LEFT JOIN sora_posts AS p ON p.id = k.post_id
WHERE (
    p.text ILIKE q.phrase COLLATE pg_c_utf8
    AND p.text NOT ILIKE ALL (q.exclusions COLLATE pg_c_utf8)
    AND (q.format = 'mixed' OR p.size_class = q.format)
    AND NOT {is_excluded("p.id", "p.creator_id")}
) IS NOT TRUE
"""

# The version changes with every post of the pool; a pool of the version ``known`` is not read.
_POOL: Final = """
SELECT q.n, v.version, c.ids, c.hashes, CASE WHEN v.posts < :size THEN (
    SELECT coalesce(sum(d.count), 0)::bigint FROM video_counts_daily AS d
    WHERE d.term = q.term AND d.format = q.format
) END AS matching
FROM jsonb_to_recordset(CAST(:queries AS jsonb))
  AS q (n integer, term text, format text, known text)
JOIN search_terms AS t ON t.term = q.term AND t.counted_at IS NOT NULL
CROSS JOIN LATERAL (
    SELECT coalesce(sum(posts), 0) AS posts,
        coalesce(string_agg(concat_ws(' ', size_class, posts, digest), ',' ORDER BY size_class), '')
            AS version
    FROM candidate_pools
    WHERE term = q.term AND pool = '{pool}' AND (q.format = 'mixed' OR size_class = q.format)
) AS v
CROSS JOIN LATERAL (
    SELECT array_agg(post_id) AS ids, array_agg(id_hash) AS hashes
    FROM (
        SELECT post_id, id_hash
        FROM video_candidates
        WHERE term = q.term AND pool = '{pool}' AND (q.format = 'mixed' OR size_class = q.format)
            AND v.version IS DISTINCT FROM q.known
        ORDER BY {order}
        LIMIT :size
    ) AS ordered
) AS c
"""
_POOLS: Final = {
    FetchMode.NEWEST: _POOL.format(pool="newest", order="posted_at DESC, post_id DESC"),
    FetchMode.RANDOM: _POOL.format(pool="random", order="id_hash, post_id"),
}


@dataclass(frozen=True, slots=True)
class MatchQuery:
    """Which posts a block can pick from, and in which order they are read."""

    query: SearchQuery
    format: Format | SizeClass
    fetch_mode: FetchMode


class Match(NamedTuple):
    """A post that matches; ``posted_at`` is only needed to continue after it."""

    post_id: str
    id_hash: int
    posted_at: str


class Pool(NamedTuple):
    """The post ids of a pool in its order, and the (signed 64-bit) id_hash of each.

    ``version`` changes with every post of the pool, beyond those read too. ``matching`` is how many
    posts match, None for a full pool.
    """

    version: str
    ids: tuple[str, ...]
    hashes: NDArray[np.int64]
    matching: int | None

    @property
    def has_all(self) -> bool:
        """Whether a pool that is not full has all matches, but for changes since the refresh."""
        return len(self.ids) == self.matching


def read_pools(
    connection: Connection,
    queries: Collection[MatchQuery],
    size: int,
    known: Mapping[MatchQuery, Pool] = MappingProxyType({}),
) -> dict[MatchQuery, Pool]:
    """The first ``size`` of each query's pool; a query without a pool is missing.

    A pool is as old as the last refresh, so its posts may be deleted; see `stale_matches`. A pool
    of the same version as the one ``known``, which was read with this ``size``, is not read again.
    """
    pools: dict[MatchQuery, Pool] = {}
    for mode, statement in _POOLS.items():
        asked = [query for query in queries if query.fetch_mode is mode]
        if not asked:
            continue
        wanted = [
            {
                "n": number,
                "term": query.query.term,
                "format": query.format,
                "known": known[query].version if query in known else None,
            }
            for number, query in enumerate(asked)
        ]
        rows = connection.execute(text(statement), {"queries": json.dumps(wanted), "size": size})
        for number, version, ids, hashes, matching in rows:
            query, pool = asked[number], known.get(asked[number])
            if pool is None or pool.version != version:
                found = np.array(hashes or (), dtype=np.int64)
                pool = Pool(version, tuple(ids or ()), found, matching)
            pools[query] = pool._replace(matching=matching)
    return pools


def stale_matches(
    connection: Connection, picks: Iterable[tuple[MatchQuery, str]]
) -> set[tuple[MatchQuery, str]]:
    """Those (query, post id) of ``picks`` that no longer match, or no longer exist."""
    asked = list(picks)
    numbers = {query: number for number, query in enumerate(dict.fromkeys(q for q, _ in asked))}
    by_number = list(numbers)
    rows = connection.execute(
        text(_STALE_MATCHES),
        {
            "numbers": [numbers[query] for query, _ in asked],
            "post_ids": [post_id for _, post_id in asked],
            "queries": json.dumps([{"n": n, **search_parameters(q)} for q, n in numbers.items()]),
        },
    )
    return {(by_number[number], post_id) for number, post_id in rows}


def search_parameters(query: MatchQuery) -> dict[str, object]:
    """The parameters of the match rule, and ``format``."""
    return {**match_parameters(query.query), "format": query.format.value}
