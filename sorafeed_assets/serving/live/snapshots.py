"""Batched reads of the snapshots that players need."""

import math
import time
from collections.abc import Callable
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from sorafeed_assets.serving.live.batching import BatchedReads
from sorafeed_assets.serving.live.connection import lost_connections
from sorafeed_assets.storage.cache.redis import playback_key, timeline_key

# A Redis that hangs would delay each answer by the time-out before PostgreSQL is read.
_HANGS_SECONDS: Final = 1.0

Stored = tuple[str, str]
"""A display's snapshot and its playback state."""


def snapshot_reads(
    redis: Redis, clock: Callable[[], float] = time.monotonic
) -> BatchedReads[Stored]:
    """Create the reads; a display without a complete snapshot in Redis is not found.

    After a read that took too long, reads fail at once for a second.
    """
    again_at = -math.inf

    async def read(ids: list[str]) -> dict[str, Stored]:
        nonlocal again_at
        if clock() < again_at:
            raise RedisConnectionError("Redis did not answer a moment ago")
        try:
            with lost_connections():
                values = await redis.mget([*map(timeline_key, ids), *map(playback_key, ids)])
        except RedisTimeoutError:
            again_at = clock() + _HANGS_SECONDS
            raise
        parts = zip(ids, values[: len(ids)], values[len(ids) :], strict=True)
        return {
            display_id: (str(snapshot), str(state))
            for display_id, snapshot, state in parts
            if snapshot is not None and state is not None
        }

    return BatchedReads(read)
