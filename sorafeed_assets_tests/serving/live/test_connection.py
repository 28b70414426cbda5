"""A connection that uvloop has closed is reported as lost, like other Redis errors."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import uvloop
from redis import Redis as SyncRedis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from sorafeed_assets.serving.live.changes import Listener
from sorafeed_assets.serving.live.connection import (
    create_channel_client,
    create_read_client,
    lost_connections,
)
from sorafeed_assets.serving.live.snapshots import snapshot_reads
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.cache.redis import CircuitBreaker


def _after_a_loss(url: str, work: Callable[[Redis], Awaitable[object]]) -> None:
    """Use a connection that was closed without the client's knowledge."""

    async def run() -> None:
        async with create_read_client(url) as redis:
            await redis.ping()
            (connection,) = redis.connection_pool._available_connections
            assert connection._writer is not None
            connection._writer.transport.abort()
            await asyncio.sleep(0)
            await work(redis)

    uvloop.run(run())


def test_a_read_on_a_connection_that_was_closed_fails_as_redis_errors_do(
    settings: Settings,
) -> None:
    url = str(settings.redis_url)
    with pytest.raises(RedisConnectionError, match="was lost"):
        _after_a_loss(url, lambda redis: snapshot_reads(redis, CircuitBreaker()).read("AAAAAA"))
    # Otherwise it is an unexpected error.
    with pytest.raises(RuntimeError, match="handler is closed"):
        _after_a_loss(url, lambda redis: redis.ping())


def test_another_mistake_is_not_taken_for_a_loss() -> None:
    with pytest.raises(RuntimeError, match="another"), lost_connections():
        raise RuntimeError("another mistake")


def test_the_channel_does_not_come_back_unnoticed(settings: Settings) -> None:
    url = str(settings.redis_url)
    states: list[bool] = []

    async def run() -> None:
        async with create_channel_client(url) as redis:
            listening = asyncio.create_task(
                Listener(redis, lambda _tags: None, states.append).listen()
            )
            while not states:
                await asyncio.sleep(0.01)
            with SyncRedis.from_url(url) as other:
                other.client_kill_filter(_type="pubsub")
            await listening

    with pytest.raises(RedisConnectionError):
        uvloop.run(run())
    assert states == [True, False]
