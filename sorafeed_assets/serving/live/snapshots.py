"""Batched reads of the snapshots that players need."""

from typing import cast

from redis.asyncio import Redis

from sorafeed_assets.serving.live.batching import BatchedReads
from sorafeed_assets.serving.live.connection import lost_connections
from sorafeed_assets.storage.cache.redis import CircuitBreaker, playback_key, timeline_key

Stored = tuple[bytes, str]
"""A display's snapshot as UTF-8, and its playback state."""


def snapshot_reads(redis: Redis, breaker: CircuitBreaker) -> BatchedReads[Stored]:
    """Create the reads; a display without a complete snapshot in Redis is not found."""

    async def read(ids: list[str]) -> dict[str, Stored]:
        with breaker.watch(), lost_connections():
            keys = [*map(timeline_key, ids), *map(playback_key, ids)]
            values = cast("list[bytes | None]", await redis.mget(keys))
        parts = zip(ids, values[: len(ids)], values[len(ids) :], strict=True)
        return {
            display_id: (snapshot, state.decode(errors="replace"))
            for display_id, snapshot, state in parts
            if snapshot is not None and state is not None
        }

    return BatchedReads(read)
