"""The posts that blocks can pick from: the pools of counted terms, and the catalogue itself.

Nothing here sorts by chance or skips rows: every page continues after the last row before it.
"""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from math import inf
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from sorafeed_assets.domain.playlists import FetchMode
from sorafeed_assets.domain.search import Format, SearchQuery, like_pattern

# Both sides of ILIKE are columns here, so the locale of the match rule has to be said.
_STALE_MATCHES: Final = """
SELECT k.n, k.post_id
FROM unnest(CAST(:numbers AS integer[]), CAST(:post_ids AS text[])) AS k (n, post_id)
JOIN jsonb_to_recordset(CAST(:queries AS jsonb))
  AS q (n integer, phrase text, exclusions text[], format text) ON q.n = k.n
LEFT JOIN sora_posts AS p ON p.id = k.post_id
WHERE (
    p.text ILIKE q.phrase COLLATE pg_c_utf8
    AND p.text NOT ILIKE ALL (q.exclusions COLLATE pg_c_utf8)
    AND (q.format = 'mixed' OR p.size_class = q.format)
) IS NOT TRUE
"""

_NEWEST_POOLS: Final = """
SELECT q.n, coalesce(c.ids, '{}'), coalesce(c.hashes, '{}'), (
    SELECT coalesce(sum(d.count), 0)::bigint FROM video_counts_daily AS d
    WHERE d.term = q.term AND d.format = q.format
) AS matching
FROM jsonb_to_recordset(CAST(:queries AS jsonb)) AS q (n integer, term text, format text)
JOIN search_terms AS t ON t.term = q.term AND t.counted_at IS NOT NULL
CROSS JOIN LATERAL (
    SELECT array_agg(post_id) AS ids, array_agg(id_hash) AS hashes
    FROM (
        SELECT post_id, id_hash
        FROM video_candidates
        WHERE term = q.term AND pool = 'newest' AND (q.format = 'mixed' OR size_class = q.format)
        ORDER BY posted_at DESC, post_id DESC
        LIMIT :size
    ) AS ordered
) AS c
"""

_RANDOM_POOLS: Final = """
SELECT q.n, coalesce(c.ids, '{}'), coalesce(c.hashes, '{}'), (
    SELECT coalesce(sum(d.count), 0)::bigint FROM video_counts_daily AS d
    WHERE d.term = q.term AND d.format = q.format
) AS matching
FROM jsonb_to_recordset(CAST(:queries AS jsonb)) AS q (n integer, term text, format text)
JOIN search_terms AS t ON t.term = q.term AND t.counted_at IS NOT NULL
CROSS JOIN LATERAL (
    SELECT array_agg(post_id) AS ids, array_agg(id_hash) AS hashes
    FROM (
        SELECT post_id, id_hash
        FROM video_candidates
        WHERE term = q.term AND pool = 'random' AND (q.format = 'mixed' OR size_class = q.format)
        ORDER BY id_hash, post_id
        LIMIT :size
    ) AS ordered
) AS c
"""

_MATCHES: Final = """text ILIKE :phrase
    AND text NOT ILIKE ALL (CAST(:exclusions AS text[]))
    AND (:format = 'mixed' OR size_class = :format)"""

# Per fetch mode: the order, the opposite order, and what comes after a place.
_ORDERS: Final = {
    FetchMode.NEWEST: (
        "posted_at DESC, id DESC",
        "posted_at, id",
        "(posted_at, id) < (CAST(:after AS timestamptz), :after_id)",
    ),
    FetchMode.RANDOM: (
        "id_hash, id",
        "id_hash DESC, id DESC",
        "(id_hash, id) > (:after, :after_id)",
    ),
}

# Some posts in order, whether they match or not: how many, which match, and the last of them.
_SLICES: Final = {
    mode: f"""
WITH slice AS MATERIALIZED (
    SELECT id, id_hash, posted_at, ({_MATCHES}) IS TRUE AS is_match
    FROM sora_posts WHERE {after} ORDER BY {order} LIMIT :entries
), size AS (
    SELECT count(*) AS entries FROM slice
)
(SELECT entries, true AS is_match, id, id_hash, CAST(posted_at AS text) AS moment
 FROM slice, size WHERE is_match ORDER BY {order})
UNION ALL
(SELECT entries, false, id, id_hash, CAST(posted_at AS text)
 FROM slice, size ORDER BY {opposite} LIMIT 1)
"""
    for mode, (order, opposite, after) in _ORDERS.items()
}

# Everything that matches, by the trigram index, then the first of it. The planner, free to
# choose, would walk an ordered index through the whole catalogue for a term that is rare.
_FOUND: Final = {
    mode: f"""
SELECT id, id_hash, CAST(posted_at AS text) AS moment
FROM (SELECT id, id_hash, posted_at FROM sora_posts WHERE {_MATCHES} OFFSET 0) AS found
WHERE {after} ORDER BY {order} LIMIT :size
"""
    for mode, (order, _, after) in _ORDERS.items()
}

_AMONG: Final = {
    mode: f"""
SELECT id, id_hash, CAST(posted_at AS text) AS moment
FROM sora_posts WHERE id = ANY(CAST(:ids AS text[])) AND {_MATCHES} ORDER BY {order}
"""
    for mode, (order, _, _) in _ORDERS.items()
}

# A first look tells how frequent matches are. Finding one by the trigram index, among others that
# only look like it, costs as much as walking past this many posts.
_FIRST_LOOK: Final = 2_000
_WALKED_PER_FOUND: Final = 4
_POSTS: Final = "SELECT greatest(reltuples, 0) FROM pg_class WHERE oid = 'sora_posts'::regclass"

_POOLS: Final = {FetchMode.NEWEST: _NEWEST_POOLS, FetchMode.RANDOM: _RANDOM_POOLS}


@dataclass(frozen=True, slots=True)
class MatchQuery:
    """Which posts a block can pick from, and in which order they are read."""

    query: SearchQuery
    format: Format
    fetch_mode: FetchMode


class Match(NamedTuple):
    """A post that matches; ``posted_at`` is only for reading on after it."""

    post_id: str
    id_hash: int
    posted_at: str


class Pool(NamedTuple):
    """The post ids of a pool in its order, the id_hash of each, and how many posts match."""

    ids: list[str]
    hashes: list[int]
    matching: int

    @property
    def has_all(self) -> bool:
        """Whether nothing but what happened since the last refresh is missing."""
        return len(self.ids) == self.matching


def read_pools(
    connection: Connection, queries: Collection[MatchQuery], size: int
) -> dict[MatchQuery, Pool]:
    """The first ``size`` of each query's pool; a query without a pool is missing.

    A pool is as old as the last refresh: its posts may be gone, see `stale_matches`.
    """
    pools: dict[MatchQuery, Pool] = {}
    for mode, statement in _POOLS.items():
        asked = [query for query in queries if query.fetch_mode is mode]
        if not asked:
            continue
        wanted = [
            {"n": number, "term": query.query.term, "format": query.format}
            for number, query in enumerate(asked)
        ]
        rows = connection.execute(text(statement), {"queries": json.dumps(wanted), "size": size})
        pools |= {asked[number]: Pool(*pool) for number, *pool in rows}
    return pools


def read_page(
    connection: Connection, query: MatchQuery, size: int, after: Match | None = None
) -> list[Match]:
    """The next ``size`` matches after ``after`` in the catalogue; fewer means that these are all.

    Newest: by (posted_at, id) descending; random: by (id_hash, id), for the caller to shuffle.
    """
    walked = _walk(connection, query, size, after)
    if walked is not None:
        return walked
    parameters = {**_parameters(query), **_place(query, after), "size": size}
    found = connection.execute(text(_FOUND[query.fetch_mode]), parameters)
    return [Match(*row) for row in found]


def _walk(
    connection: Connection, query: MatchQuery, size: int, after: Match | None
) -> list[Match] | None:
    """Look at posts in order until there are ``size`` matches; None when finding all is cheaper."""
    matches: list[Match] = []
    walked, entries = 0, max(_FIRST_LOOK, size)
    place = _place(query, after)
    while True:
        parameters = {**_parameters(query), **place, "entries": entries}
        rows = connection.execute(text(_SLICES[query.fetch_mode]), parameters).all()
        matches += [Match(*row[2:]) for row in rows if row.is_match]
        if not rows or rows[-1].entries < entries or len(matches) >= size:
            return matches[:size]
        walked += entries
        share = len(matches) / walked
        needed = (size - len(matches)) / share if share else inf
        if needed > _WALKED_PER_FOUND * share * _posts(connection):
            return None
        entries = int(needed) + _FIRST_LOOK
        place = _place(query, Match(*rows[-1][2:]))


def _posts(connection: Connection) -> float:
    """About how many posts there are, as the planner has it."""
    return float(connection.execute(text(_POSTS)).scalar_one())


def read_among(connection: Connection, query: MatchQuery, post_ids: Collection[str]) -> list[Match]:
    """Those of ``post_ids`` that match, in the order of `read_page`."""
    parameters = {**_parameters(query), "ids": sorted(post_ids)}
    return [Match(*row) for row in connection.execute(text(_AMONG[query.fetch_mode]), parameters)]


def _place(query: MatchQuery, after: Match | None) -> dict[str, object]:
    if query.fetch_mode is FetchMode.NEWEST:
        if after is None:
            return {"after": "infinity", "after_id": ""}
        return {"after": after.posted_at, "after_id": after.post_id}
    if after is None:
        return {"after": -(2**63), "after_id": ""}
    return {"after": after.id_hash, "after_id": after.post_id}


def stale_matches(
    connection: Connection, picks: Iterable[tuple[MatchQuery, str]]
) -> set[tuple[MatchQuery, str]]:
    """Those (query, post id) of ``picks`` that the catalogue no longer has, or has changed."""
    asked = list(picks)
    numbers = {query: number for number, query in enumerate(dict.fromkeys(q for q, _ in asked))}
    by_number = list(numbers)
    rows = connection.execute(
        text(_STALE_MATCHES),
        {
            "numbers": [numbers[query] for query, _ in asked],
            "post_ids": [post_id for _, post_id in asked],
            "queries": json.dumps([{"n": n, **_parameters(q)} for q, n in numbers.items()]),
        },
    )
    return {(by_number[number], post_id) for number, post_id in rows}


def _parameters(query: MatchQuery) -> dict[str, object]:
    return {
        "phrase": like_pattern(query.query.phrase),
        "exclusions": [like_pattern(word) for word in query.query.exclusions],
        "format": query.format.value,
    }
