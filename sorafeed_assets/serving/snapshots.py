"""What players ask Redis for: whoever asks in the same moment shares one round trip."""

import asyncio
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from sorafeed_assets.storage.redis import playback_key, timeline_key

_MOST_AT_ONCE: Final = 200

_Stored = tuple[str, str]


class Snapshots:
    """Reads for the players of one event loop."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._asked: list[tuple[str, asyncio.Future[_Stored | None]]] = []
        self._reading: asyncio.Task[None] | None = None

    async def read(self, display_id: str) -> _Stored | None:
        """A display's snapshot and its playback state; None when Redis lacks one of them.

        Raises:
            RedisError: Redis refuses, or does not answer in time.
            OSError: it is not reached.
        """
        found: asyncio.Future[_Stored | None] = asyncio.get_running_loop().create_future()
        self._asked.append((display_id, found))
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_all())
        return await found

    async def _read_all(self) -> None:
        # While one answer is on its way, others gather for the next: a crowd costs little more.
        try:
            while self._asked:
                asked = self._asked[:_MOST_AT_ONCE]
                del self._asked[:_MOST_AT_ONCE]
                try:
                    stored = await self._read([display_id for display_id, _ in asked])
                except (RedisError, OSError) as error:
                    for _, found in asked:
                        if not found.done():
                            found.set_exception(error)
                    continue
                for (_, found), each in zip(asked, stored, strict=True):
                    if not found.done():
                        found.set_result(each)
        finally:
            self._reading = None

    async def _read(self, ids: list[str]) -> list[_Stored | None]:
        keys = [*map(timeline_key, ids), *map(playback_key, ids)]
        values = await self._redis.mget(keys)
        return [
            (str(snapshot), str(state)) if snapshot is not None and state is not None else None
            for snapshot, state in zip(values[: len(ids)], values[len(ids) :], strict=True)
        ]
