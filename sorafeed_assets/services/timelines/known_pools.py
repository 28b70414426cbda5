"""Candidate pools that were read before: a pool that has not changed is not read again."""

from collections.abc import Collection, Mapping
from threading import Lock
from typing import Final

from cachetools import LRUCache
from sqlalchemy import Connection

from sorafeed_assets.storage.catalog.matches import MatchQuery, Pool, read_pools

MOST_CANDIDATES: Final = 300_000
"""Those of 600 pools of 500 candidates; some 27 MB."""


class KnownPools:
    """The pools read last, of one database; safe to share between threads.

    Args:
        size: how many posts of a pool are read.
        most: how many candidates are kept.
    """

    def __init__(self, size: int, most: int = MOST_CANDIDATES) -> None:
        self._size = size
        self._lock = Lock()
        self._pools: LRUCache[MatchQuery, Pool] = LRUCache(most, lambda pool: len(pool.ids) + 1)

    def read(
        self, connection: Connection, queries: Collection[MatchQuery]
    ) -> Mapping[MatchQuery, Pool]:
        """The pools of queries as they are stored; a query without a pool is missing."""
        with self._lock:
            known = {query: self._pools[query] for query in queries if query in self._pools}
        pools = read_pools(connection, queries, self._size, known)
        with self._lock:
            for query, pool in pools.items():
                if pool is not known.get(query) and len(pool.ids) < self._pools.maxsize:
                    self._pools[query] = pool
        return pools
