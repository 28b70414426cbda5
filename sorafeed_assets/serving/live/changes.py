"""Notifications of changes: from Redis to this process, and on to the connected pages."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Collection, Iterator
from typing import Final

from redis.asyncio import Redis

from sorafeed_assets.serving.live.connection import lost_connections
from sorafeed_assets.storage.cache.redis import CHANGES

_SILENCE_SECONDS: Final = 1.0
_WAITING: Final = 64


class Subscription:
    """One connected page: the tags that it subscribes to (None: all), and those to be sent."""

    def __init__(self, tags: Collection[str] | None) -> None:
        self._wanted = None if tags is None else frozenset(tags)
        self._queue: asyncio.Queue[list[str] | None] = asyncio.Queue(_WAITING)

    def offer(self, tags: Collection[str]) -> None:
        """Queue the tags that the page wants; a page that does not keep up gets "all"."""
        heard = sorted(tags if self._wanted is None else self._wanted & set(tags))
        if not heard:
            return
        if self._queue.full():
            while not self._queue.empty():
                self._queue.get_nowait()
            heard = ["all"]
        self._queue.put_nowait(heard)

    def end(self) -> None:
        """End the subscription."""
        if self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    async def next(self, seconds: float) -> list[str] | None:
        """Wait for the next tags; an empty list after ``seconds`` without any, None at the end."""
        try:
            return await asyncio.wait_for(self._queue.get(), seconds)
        except TimeoutError:
            return []


class Hub:
    """All connected pages of this process."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._subscriptions)

    @contextlib.contextmanager
    def subscribe(self, tags: Collection[str] | None) -> Iterator[Subscription]:
        """Subscribe for as long as the block lasts."""
        subscription = Subscription(tags)
        if self._is_closed:
            subscription.end()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    def tell(self, tags: Collection[str]) -> None:
        """Queue tags for every page that wants them."""
        for subscription in self._subscriptions:
            subscription.offer(tags)

    def close(self) -> None:
        """End all subscriptions, and later ones at once."""
        self._is_closed = True
        for subscription in self._subscriptions:
            subscription.end()


class Listener:
    """Listens to the channel of changes, and notices when it is lost.

    Args:
        redis: a client of the listener's event loop.
        on_change: called with the tags of every change.
        on_state: called with True when the channel is subscribed, False when it is lost.
        on_alive: called whenever the channel answers.
    """

    def __init__(
        self,
        redis: Redis,
        on_change: Callable[[list[str]], None],
        on_state: Callable[[bool], None],
        on_alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._redis = redis
        self._on_change = on_change
        self._on_state = on_state
        self._on_alive = on_alive
        self.is_connected = False

    async def listen(self) -> None:
        """Listen until the channel is lost.

        Raises:
            RedisError: the connection was lost, or there is none.
            OSError: the same.
        """
        try:
            with lost_connections():
                async with contextlib.aclosing(self._messages()) as messages:
                    async for tags in messages:
                        self._on_change(tags)
        finally:
            self._set_connected(connected=False)

    async def _messages(self) -> AsyncGenerator[list[str]]:
        async with self._redis.pubsub() as channel:
            await channel.subscribe(CHANGES)
            answered = True
            while True:
                message = await channel.get_message(timeout=_SILENCE_SECONDS)
                if message is None:
                    # A connection without messages may be dead; then the ping gets no answer.
                    if not answered:
                        raise ConnectionResetError("the channel does not answer")
                    answered = False
                    await channel.ping()
                    continue
                answered = True
                self._on_alive()
                if message["type"] == "subscribe":
                    self._set_connected(connected=True)
                elif message["type"] == "message":
                    yield _tags(message["data"])

    def _set_connected(self, *, connected: bool) -> None:
        if connected != self.is_connected:
            self.is_connected = connected
            self._on_state(connected)


def _tags(data: object) -> list[str]:
    """The tags of a message; "all" for a message in an unknown format."""
    try:
        tags = json.loads(str(data))
    except ValueError:
        return ["all"]
    return [str(tag) for tag in tags] if isinstance(tags, list) else ["all"]
