"""Candidate pools as a whole: resized, fingerprinted, and compared with direct queries.

Counting keeps the pools up to date; see `services.counts.refresh`.
"""

from dataclasses import dataclass

from sqlalchemy import Engine

from sorafeed_assets.domain.automation import rotating_sample
from sorafeed_assets.domain.catalog.search import SizeClass, parse_query
from sorafeed_assets.domain.counts.pools import POOLS
from sorafeed_assets.services.counts.lineage import pools_change
from sorafeed_assets.storage.catalog.outbox import pending_posts
from sorafeed_assets.storage.counts import daily as counts
from sorafeed_assets.storage.counts import pools
from sorafeed_assets.storage.lineage_records import write_changes
from sorafeed_assets.storage.playlists.changes import note_users_of
from sorafeed_assets.storage.postgres.engine import snapshot


@dataclass(frozen=True, slots=True)
class CandidatesRefresh:
    """Terms whose pools were resized, rows in all pools, and a digest of the pools."""

    terms_changed: int
    rows: int
    data_version: str


@dataclass(frozen=True, slots=True)
class PoolSample:
    """Whether one pool equals a direct query."""

    term: str
    size_class: str
    pool: str
    is_equal: bool


def refresh_candidates(engine: Engine, *, pool_size: int) -> CandidatesRefresh:
    """Refill pools that lack matching posts, and trim those over ``pool_size``."""
    changed: set[pools.PoolKey] = set()
    with snapshot(engine) as connection:
        counts.lock_counts(connection)
        sizes = pools.pool_sizes(connection)
        for (term, shape), matching in sorted(pools.matching_by_shape(connection).items()):
            for pool in POOLS:
                key = pools.PoolKey(term, shape, pool)
                if sizes.get(key, 0) < min(pool_size, matching):
                    pools.refill_pool(connection, key, parse_query(term), pool_size)
                    changed.add(key)
        changed |= {key for key, posts in sizes.items() if posts > pool_size}
        if changed:
            pools.trim_pools(connection, pool_size)
        rows = sum(pools.pool_sizes(connection).values()) if changed else sum(sizes.values())
        change = pools_change(connection)
        write_changes(connection, [change])
        note_users_of(connection, {(key.term, key.size_class, key.pool) for key in changed})
    return CandidatesRefresh(len({key.term for key in changed}), rows, change.data_version)


def sample_pools(engine: Engine, *, seed: int, size: int, pool_size: int) -> list[PoolSample]:
    """Compare the pools of some terms with direct queries; ``seed`` selects the terms.

    Posts with waiting changes are left out on both sides.
    """
    with snapshot(engine) as connection:
        waiting = pending_posts(connection)
        counted = sorted({term for term, _ in pools.matching_by_shape(connection)})
        keys = [
            pools.PoolKey(term, shape.value, pool)
            for term in rotating_sample(counted, seed=seed, size=size)
            for shape in SizeClass
            for pool in POOLS
        ]
        samples = []
        for key in keys:
            held = pools.pool_posts(connection, key)
            stored = held - waiting
            # Each waiting post may displace one of the first posts, so more are read.
            first = pools.first_matching(
                connection, key, parse_query(key.term), pool_size + len(waiting)
            )
            expected = [post for post in first if post not in waiting]
            is_full = len(held) == pool_size
            wanted = expected[: len(stored)] if is_full else expected
            is_equal = len(held) <= pool_size and stored == set(wanted)
            samples.append(PoolSample(key.term, key.size_class, key.pool, is_equal))
        return samples
