"""Batched reads of players' snapshots from Redis."""

import asyncio

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError

from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.serving.live.snapshots import Stored, snapshot_reads
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.cache.redis import CircuitBreaker, playback_key, timeline_key

CODES = [f"CROWD{number}" for number in range(10)]


async def _read_at_once(url: str, codes: list[str]) -> list[Stored | None]:
    async with AsyncRedis.from_url(url) as redis:
        snapshots = snapshot_reads(redis, CircuitBreaker())
        return list(await asyncio.gather(*map(snapshots.read, codes)))


def test_a_crowd_shares_one_round_trip(settings: Settings) -> None:
    url = str(settings.redis_url)
    with Redis.from_url(url) as redis:
        for code in CODES:
            redis.set(timeline_key(code), f"queue of {code}")
            redis.set(playback_key(code), "playing")
        redis.delete(playback_key(CODES[3]), timeline_key(CODES[4]))
        redis.config_resetstat()
        found = asyncio.run(_read_at_once(url, [*CODES, CODES[0]]))
        assert redis.info("commandstats")["cmdstat_mget"]["calls"] == 1
    known = [(f"queue of {code}".encode(), "playing") for code in CODES]
    assert found == [*known[:3], None, None, *known[5:], known[0]]


def test_all_callers_get_the_error_of_their_batch() -> None:
    async def ask() -> list[BaseException | Stored | None]:
        async with AsyncRedis.from_url(f"redis://127.0.0.1:{free_port()}") as redis:
            snapshots = snapshot_reads(redis, CircuitBreaker())
            asked = map(snapshots.read, CODES)
            return list(await asyncio.gather(*asked, return_exceptions=True))

    found = asyncio.run(ask())
    assert len(found) == len(CODES)
    assert all(isinstance(each, RedisError) for each in found)


def test_who_stops_waiting_takes_nothing_from_others(settings: Settings) -> None:
    url = str(settings.redis_url)
    with Redis.from_url(url) as redis:
        redis.mset({timeline_key("STAYS1"): "queue", playback_key("STAYS1"): "idle"})

    async def ask() -> Stored | None:
        async with AsyncRedis.from_url(url) as redis:
            snapshots = snapshot_reads(redis, CircuitBreaker())
            leaving = asyncio.create_task(snapshots.read("LEAVES"))
            staying = asyncio.create_task(snapshots.read("STAYS1"))
            await asyncio.sleep(0)
            leaving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
            return await staying

    assert asyncio.run(ask()) == (b"queue", "idle")
