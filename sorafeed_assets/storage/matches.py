"""The posts that blocks can pick from: the pools of counted terms, and the catalogue itself.

Nothing here sorts by chance or skips rows: every page continues after the last row before it.
"""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
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
SELECT q.n, c.ids, c.hashes
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
WHERE c.ids IS NOT NULL
"""

_RANDOM_POOLS: Final = """
SELECT q.n, c.ids, c.hashes
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
WHERE c.ids IS NOT NULL
"""

_NEWEST_PAGE: Final = """
SELECT id, id_hash, CAST(posted_at AS text) AS posted_at
FROM sora_posts
WHERE text ILIKE :phrase
  AND text NOT ILIKE ALL (CAST(:exclusions AS text[]))
  AND (:format = 'mixed' OR size_class = :format)
  AND (posted_at, id) < (CAST(:after AS timestamptz), :after_id)
ORDER BY posted_at DESC, id DESC
LIMIT :size
"""

_RANDOM_PAGE: Final = """
SELECT id, id_hash, CAST(posted_at AS text) AS posted_at
FROM sora_posts
WHERE text ILIKE :phrase
  AND text NOT ILIKE ALL (CAST(:exclusions AS text[]))
  AND (:format = 'mixed' OR size_class = :format)
  AND (id_hash, id) > (:after, :after_id)
ORDER BY id_hash, id
LIMIT :size
"""

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
    """The post ids of a pool in its order, and the id_hash of each."""

    ids: list[str]
    hashes: list[int]


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
        pools |= {asked[number]: Pool(ids, hashes) for number, ids, hashes in rows}
    return pools


def read_page(
    connection: Connection, query: MatchQuery, size: int, after: Match | None = None
) -> list[Match]:
    """The next ``size`` matches after ``after`` in the catalogue; fewer means that these are all.

    Newest: by (posted_at, id) descending; random: by (id_hash, id), for the caller to shuffle.
    """
    if query.fetch_mode is FetchMode.NEWEST:
        statement = _NEWEST_PAGE
        start: tuple[object, str] = (after.posted_at, after.post_id) if after else ("infinity", "")
    else:
        statement = _RANDOM_PAGE
        start = (after.id_hash, after.post_id) if after else (-(2**63), "")
    rows = connection.execute(
        text(statement),
        {**_parameters(query), "after": start[0], "after_id": start[1], "size": size},
    )
    return [Match(*row) for row in rows]


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
