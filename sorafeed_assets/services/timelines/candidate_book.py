"""The candidates of many blocks, read once per query: first the pool, then the catalogue."""

from collections.abc import Collection, Iterable, Iterator, Sequence
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
from sorafeed_assets.services.timelines.known_pools import KnownPools
from sorafeed_assets.storage.catalog.blocklist import excluded_among, is_waiting
from sorafeed_assets.storage.catalog.matches import (
    Match,
    MatchQuery,
    Pool,
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
    ids: Sequence[str] = ()
    pages: list[Page] = field(default_factory=list)

    def append_pool(self, pool: Pool, mode: FetchMode) -> None:
        if mode is FetchMode.RANDOM:
            self.pages.append(make_page(pool.ids, pool.hashes))
        else:
            self.ids = pool.ids

    def append_matches(self, matches: list[Match], mode: FetchMode) -> None:
        ids = [match.post_id for match in matches]
        if mode is FetchMode.RANDOM:
            self.pages.append(make_page(ids, [match.id_hash for match in matches]))
        else:
            self.ids = [*self.ids, *ids]

    def all_ids(self) -> Iterator[str]:
        yield from self.ids
        for page in self.pages:
            yield from page.ids

    def drop(self, stale: set[str]) -> None:
        self.ids = [post_id for post_id in self.ids if post_id not in stale]
        self.pages = [_without(page, stale) for page in self.pages]


def _without(page: Page, stale: set[str]) -> Page:
    keep = np.array([post_id not in stale for post_id in page.ids], dtype=bool)
    if keep.all():
        return page
    return Page(tuple(p for p in page.ids if p not in stale), page.hashes[keep])


def _matches_of(pool: Pool) -> list[Match]:
    return [Match(*post, "") for post in zip(pool.ids, pool.hashes.tolist(), strict=True)]


class CandidateBook:
    """Candidates by query, for one transaction; more are read when plans need them.

    The first page of a query is its pool, or as much of the catalogue. A page of random matches
    is a range of the order by (id_hash, id), and the next one begins at its end. Pools that are
    ``known`` from earlier transactions, read with the same ``pool_size``, are not read again.
    """

    def __init__(self, pool_size: int, known: KnownPools | None = None) -> None:
        self._pool_size = pool_size
        self._known = known or KnownPools(pool_size)
        self._entries: dict[MatchQuery, _Entry] = {}
        self._parsed: dict[str, SearchQuery] = {}
        self._verified: set[tuple[MatchQuery, str]] = set()
        self._unchecked: set[MatchQuery] = set()
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
        if not missing:
            return
        # Before the pools, because a refresh in between has moved posts into them.
        waiting = self._read_waiting(connection)
        pools = self._known.read(connection, missing)
        for query in missing:
            pool = pools.get(query)
            if pool is None:
                self._entries[query] = _Entry(self._pool_size)
                continue
            entry = self._entries[query] = _Entry(_POOL_AND_NEXT_PAGE * self._pool_size)
            entry.append_pool(pool, query.fetch_mode)
            self._unchecked.add(query)
            entry.has_all = pool.has_all
            if len(pool.ids) == self._pool_size:
                entry.bound = (int(pool.hashes[-1]), pool.ids[-1])
        if waiting is not None:
            whole = [query for query in missing if self._entries[query].has_all]
            posts = waiting.matching([query.query for query in whole])
            for query, more in zip(whole, posts, strict=True):
                # Nothing to read again when a plan needs all of them.
                self._entries[query].complete = not more
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
        if not asked or self._waiting is None:
            return {}
        # Read after the outbox, because a refresh in between has moved posts into the pools.
        pools = self._known.read(connection, asked)
        known = [query for query in asked if query in pools and pools[query].has_all]
        waiting = self._waiting.matching([query.query for query in known])
        # A pool that only lost posts is complete: those that are picked are dropped as stale.
        return {
            query: read_among(connection, query, {*pools[query].ids, *posts})
            if posts
            else _matches_of(pools[query])
            for query, posts in zip(known, waiting, strict=True)
        }

    def _read_waiting(self, connection: Connection) -> WaitingPosts | None:
        if not self._waiting_read:
            self._waiting, self._waiting_read = WaitingPosts.read(connection), True
        return self._waiting

    def _replace_pool(self, entry: _Entry, matches: list[Match], mode: FetchMode) -> None:
        """Replace a pool by the catalogue from its start, because the pool misses newer posts."""
        entry.ids, entry.pages = (), []
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
        if stale:
            self._drop_excluded(connection)
        return stale

    def _drop_excluded(self, connection: Connection) -> None:
        """Remove what pools have of posts excluded since, all at once: they may be thousands."""
        entries = [self._entries[query] for query in self._unchecked]
        self._unchecked = set()
        if not entries or not is_waiting(connection):
            return
        excluded = excluded_among(connection, set().union(*(entry.all_ids() for entry in entries)))
        for entry in entries:
            entry.drop(excluded)
