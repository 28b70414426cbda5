"""The candidates of many blocks, read once per query: first the pool, then the catalogue."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from sqlalchemy import Connection

from sorafeed_assets.domain.catalog.search import SearchQuery
from sorafeed_assets.domain.playlists.playlist import Block, FetchMode
from sorafeed_assets.domain.timelines.plan import Candidates
from sorafeed_assets.domain.timelines.shuffle import Page, Shuffled, make_page, shuffle_key
from sorafeed_assets.services.counts.pending import WaitingPosts
from sorafeed_assets.services.counts.searching import read_pages
from sorafeed_assets.storage.catalog.matches import (
    Match,
    MatchQuery,
    Pool,
    read_pools,
    stale_matches,
)
from sorafeed_assets.storage.catalog.pages import read_among

# When a pool does not suffice, it is read again together with the next page.
_POOL_AND_NEXT_PAGE: Final = 3


@dataclass(slots=True)
class _Entry:
    """The candidates read for one query; the catalogue continues after ``last``, None for a pool.

    ``has_all``: a pool misses only posts that wait in the outbox.
    """

    next_size: int
    read: int = 0
    last: Match | None = None
    bound: tuple[int, str] | None = None
    complete: bool = False
    has_all: bool = False
    ids: list[str] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)

    def append(self, ids: list[str], hashes: list[int], mode: FetchMode) -> None:
        if mode is FetchMode.RANDOM:
            self.pages.append(make_page(ids, hashes))
        else:
            self.ids = [*self.ids, *ids]

    def append_matches(self, matches: list[Match], mode: FetchMode) -> None:
        self.append([m.post_id for m in matches], [m.id_hash for m in matches], mode)

    def drop(self, stale: set[str]) -> None:
        self.ids = [post_id for post_id in self.ids if post_id not in stale]
        self.pages = [_without(page, stale) for page in self.pages]


def _without(page: Page, stale: set[str]) -> Page:
    keep = np.array([post_id not in stale for post_id in page.ids], dtype=bool)
    if keep.all():
        return page
    return Page(tuple(p for p in page.ids if p not in stale), page.hashes[keep])


def _matches_of(pool: Pool) -> list[Match]:
    return [Match(*post, "") for post in zip(pool.ids, pool.hashes, strict=True)]


class CandidateBook:
    """Candidates by query, for one transaction; more are read when plans need them.

    The first page of a query is its pool, or as much of the catalogue. A page of random matches
    is a range of the order by (id_hash, id), and the next one begins at its end.
    """

    def __init__(self, pool_size: int) -> None:
        self._pool_size = pool_size
        self._entries: dict[MatchQuery, _Entry] = {}
        self._parsed: dict[str, SearchQuery] = {}
        self._verified: set[tuple[MatchQuery, str]] = set()
        self._waiting: WaitingPosts | None = None
        self._waiting_read = False

    def query_of(self, block: Block) -> MatchQuery:
        """The query of a block; raises InvalidInputError for an invalid search term."""
        query = self._parsed.get(block.search_term)
        if query is None:
            query = self._parsed[block.search_term] = block.query
        return MatchQuery(query, block.format, block.fetch_mode)

    def prepare(self, connection: Connection, queries: Iterable[MatchQuery]) -> None:
        """Read the first page of each query that is not in the book yet."""
        missing = [query for query in dict.fromkeys(queries) if query not in self._entries]
        pools = read_pools(connection, missing, self._pool_size) if missing else {}
        for query in missing:
            pool = pools.get(query)
            if pool is None:
                self._entries[query] = _Entry(self._pool_size)
                continue
            entry = self._entries[query] = _Entry(_POOL_AND_NEXT_PAGE * self._pool_size)
            entry.append(pool.ids, pool.hashes, query.fetch_mode)
            entry.has_all = pool.has_all
            if len(pool.ids) == self._pool_size:
                entry.bound = (pool.hashes[-1], pool.ids[-1])
        self.extend(connection, [query for query in missing if query not in pools])

    def candidates(self, display_id: str, block: Block, loop: int) -> Candidates:
        """The block's candidates in play order, as far as they are read."""
        query = self.query_of(block)
        entry = self._entries[query]
        if query.fetch_mode is FetchMode.NEWEST:
            return Candidates(entry.ids, entry.complete)
        key = shuffle_key(display_id, block.id, loop)
        return Candidates(Shuffled(tuple(entry.pages), key), entry.complete)

    def extend(self, connection: Connection, queries: Collection[MatchQuery]) -> None:
        """Read the next page of each query from the catalogue."""
        whole = self._complete_pools(connection, queries)
        for query, matches in whole.items():
            self._entries[query].complete = True
            self._replace_pool(self._entries[query], matches, query.fetch_mode)
        searched = [query for query in queries if query not in whole]
        wanted = [(q, self._entries[q].next_size, self._entries[q].last) for q in searched]
        for query, matches in zip(searched, read_pages(connection, wanted), strict=True):
            entry = self._entries[query]
            entry.complete = len(matches) < entry.next_size
            if entry.last is None:
                self._replace_pool(entry, matches, query.fetch_mode)
            elif matches:
                entry.append_matches(matches, query.fetch_mode)
            if matches:
                entry.last = matches[-1]
            # Twice the page before, wherever reading began: pages end at the same ranks.
            entry.read += entry.next_size
            entry.next_size = entry.read + self._pool_size

    def _complete_pools(
        self, connection: Connection, queries: Collection[MatchQuery]
    ) -> dict[MatchQuery, list[Match]]:
        """All matches of queries whose pool is complete, without a search."""
        asked = [query for query in queries if self._entries[query].has_all]
        if asked and not self._waiting_read:
            self._waiting, self._waiting_read = WaitingPosts.read(connection), True
        if not asked or self._waiting is None:
            return {}
        # Read after the outbox, because a refresh in between has moved posts into the pools.
        pools = read_pools(connection, asked, self._pool_size)
        known = [query for query in asked if query in pools and pools[query].has_all]
        waiting = self._waiting.matching([query.query for query in known])
        # A pool that only lost posts is complete: those that are picked are dropped as stale.
        return {
            query: read_among(connection, query, {*pools[query].ids, *posts})
            if posts
            else _matches_of(pools[query])
            for query, posts in zip(known, waiting, strict=True)
        }

    def _replace_pool(self, entry: _Entry, matches: list[Match], mode: FetchMode) -> None:
        """Replace a pool by the catalogue from its start, because the pool misses newer posts."""
        entry.ids, entry.pages = [], []
        if mode is FetchMode.NEWEST:
            entry.append_matches(matches, mode)
            return
        end = self._pool_size
        if entry.bound is not None:
            bound = entry.bound
            end = sum((match.id_hash, match.post_id) <= bound for match in matches)
        for page in (matches[:end], matches[end:]):
            if page:
                entry.append_matches(page, mode)

    def drop_stale(
        self, connection: Connection, picks: set[tuple[MatchQuery, str]]
    ) -> set[tuple[MatchQuery, str]]:
        """Remove picks that no longer match from the book; returns them."""
        unverified = picks - self._verified
        if not unverified:
            return set()
        stale = stale_matches(connection, unverified)
        self._verified |= unverified - stale
        by_query: dict[MatchQuery, set[str]] = {}
        for query, post_id in stale:
            by_query.setdefault(query, set()).add(post_id)
        for query, post_ids in by_query.items():
            self._entries[query].drop(post_ids)
        return stale
