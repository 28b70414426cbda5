"""Connections of the event loop to Redis, and what tells that one was lost."""

import contextlib
from collections.abc import Iterator
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

_ANSWER_SECONDS: Final = 0.5


def create_read_client(url: str) -> Redis:
    """A client for reads that players wait for; it tries once more, and then gives up."""
    return Redis.from_url(
        url,
        decode_responses=True,
        encoding_errors="replace",
        socket_connect_timeout=_ANSWER_SECONDS,
        socket_timeout=_ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 1),
    )


def create_channel_client(url: str) -> Redis:
    """A client for the channel of changes, which has to notice that it was lost."""
    return Redis.from_url(
        url,
        decode_responses=True,
        encoding_errors="replace",
        socket_connect_timeout=_ANSWER_SECONDS,
        # A connection that comes back by itself would hide that changes were missed.
        retry=Retry(NoBackoff(), 0),
    )


@contextlib.contextmanager
def lost_connections() -> Iterator[None]:
    """Raise the client's own error where uvloop refuses a connection that it has closed.

    Raises:
        RedisConnectionError: the connection was lost.
    """
    try:
        yield
    except RuntimeError as error:
        # uvloop has no exception of its own for it.
        if "the handler is closed" not in str(error):
            raise
        raise RedisConnectionError(f"the connection was lost: {error}") from error
