"""Players do not wait again and again for a Redis that hangs."""

import asyncio
import os
import signal

import pytest
from redis import Redis
from redis.exceptions import TimeoutError as RedisTimeoutError

from sorafeed_assets.domain.errors import UnavailableError
from sorafeed_assets.launch.embedded import EmbeddedRedis
from sorafeed_assets.serving.live.connection import create_read_client
from sorafeed_assets.serving.live.snapshots import snapshot_reads
from sorafeed_assets.storage.cache.redis import (
    CircuitBreaker,
    create_redis_client,
    playback_key,
    redis_errors,
    timeline_key,
)


def test_a_redis_that_hangs_is_asked_once_a_second(own_redis: EmbeddedRedis) -> None:
    with Redis.from_url(own_redis.url) as redis:
        redis.mset({timeline_key("AAAAA1"): "{}", playback_key("AAAAA1"): "playing"})
    pid = own_redis.pid
    assert pid is not None
    now = 100.0

    async def work() -> None:
        nonlocal now
        async with create_read_client(own_redis.url) as redis:
            reads = snapshot_reads(redis, CircuitBreaker(lambda: now))
            assert await reads.read("AAAAA1") == (b"{}", "playing")
            os.kill(pid, signal.SIGSTOP)
            try:
                with pytest.raises(RedisTimeoutError):
                    await reads.read("AAAAA1")
                with pytest.raises(RedisTimeoutError, match="a moment ago"):
                    await reads.read("AAAAA1")
            finally:
                os.kill(pid, signal.SIGCONT)
            now += 1.5
            assert await reads.read("AAAAA1") == (b"{}", "playing")

    asyncio.run(work())


def test_reads_and_writes_that_share_a_breaker_wait_once(own_redis: EmbeddedRedis) -> None:
    pid = own_redis.pid
    assert pid is not None
    now = 100.0
    breaker = CircuitBreaker(lambda: now)

    async def read() -> None:
        async with create_read_client(own_redis.url) as redis:
            with pytest.raises(RedisTimeoutError):
                await snapshot_reads(redis, breaker).read("AAAAA1")

    with create_redis_client(own_redis.url, breaker) as redis:
        os.kill(pid, signal.SIGSTOP)
        try:
            asyncio.run(read())
            with pytest.raises(UnavailableError, match="a moment ago"), redis_errors(redis):
                pytest.fail("the call is not made")
        finally:
            os.kill(pid, signal.SIGCONT)
        now += 1.5
        with redis_errors(redis):
            assert redis.ping()
