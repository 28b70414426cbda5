"""Batched reads of the snapshots that players need."""

from redis.asyncio import Redis

from sorafeed_assets.serving.live.batching import BatchedReads
from sorafeed_assets.serving.live.connection import lost_connections
from sorafeed_assets.storage.cache.redis import CircuitBreaker, playback_key, timeline_key

Stored = tuple[str, str]
"""A display's snapshot and its playback state."""


def snapshot_reads(redis: Redis, breaker: CircuitBreaker) -> BatchedReads[Stored]:
    """Create the reads; a display without a complete snapshot in Redis is not found."""

    async def read(ids: list[str]) -> dict[str, Stored]:
        with breaker.watch(), lost_connections():
            values = await redis.mget([*map(timeline_key, ids), *map(playback_key, ids)])
        parts = zip(ids, values[: len(ids)], values[len(ids) :], strict=True)
        return {
            display_id: (str(snapshot), str(state))
            for display_id, snapshot, state in parts
            if snapshot is not None and state is not None
        }

    return BatchedReads(read)
