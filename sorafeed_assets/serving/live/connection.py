"""Redis clients of the event loop, and detecting that a connection was lost."""

import contextlib
from collections.abc import Iterator
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

_ANSWER_SECONDS: Final = 0.5
# A player waits for it before PostgreSQL is read.
_READ_SECONDS: Final = 0.25


def create_read_client(url: str) -> Redis:
    """Create a client for reads that players wait for: short time-outs, and values as bytes.

    A snapshot is parsed as it is; as a text, one emoji makes it four times as long. A lost
    connection is opened again once. What took too long is not tried again.
    """
    return Redis.from_url(
        url,
        socket_connect_timeout=_READ_SECONDS,
        socket_timeout=_READ_SECONDS,
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
    )


def create_channel_client(url: str) -> Redis:
    """Create a client for the channel of changes."""
    return Redis.from_url(
        url,
        decode_responses=True,
        encoding_errors="replace",
        socket_connect_timeout=_ANSWER_SECONDS,
        # An automatic reconnect would hide that changes were missed.
        retry=Retry(NoBackoff(), 0),
    )


@contextlib.contextmanager
def lost_connections() -> Iterator[None]:
    """Turn uvloop's RuntimeError for a closed connection into the client's own error.

    Raises:
        RedisConnectionError: the connection was lost.
    """
    try:
        yield
    except RuntimeError as error:
        # uvloop has no exception of its own for this.
        if "the handler is closed" not in str(error):
            raise
        raise RedisConnectionError(f"the connection was lost: {error}") from error
