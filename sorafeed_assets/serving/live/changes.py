"""Notifications of changes: from Redis to this process, and on to the connected pages."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from redis.asyncio import Redis

from sorafeed_assets.services.tokens import Token
from sorafeed_assets.serving.live.connection import lost_connections
from sorafeed_assets.storage.cache.redis import CHANGES

_SILENCE_SECONDS: Final = 1.0
_WAITING: Final = 64


class Subscription:
    """One connected page: the tags that it subscribes to (None: all), and those to be sent.

    Attributes:
        token: what it was opened with, as last read; it ends when the token is no longer valid.
        is_replaced: whether it ended because its token has newer ones.
        is_closing: whether it ended because the process stops.
    """

    def __init__(self, tags: Collection[str] | None, token: Token | None = None) -> None:
        self.token = token
        self.is_replaced = self.is_closing = False
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

    def close(self) -> None:
        """End the subscription because the process stops."""
        self.is_closing = True
        self.end()

    @property
    def is_refused(self) -> bool:
        """Whether the token is expired or revoked."""
        return self.token is not None and self.token.problem(datetime.now(UTC)) is not None

    async def next(self, seconds: float) -> list[str] | None:
        """Wait for the next tags; an empty list after ``seconds`` without any, None at the end."""
        if self.token is not None and self.token.expires_at is not None:
            left = (self.token.expires_at - datetime.now(UTC)).total_seconds()
            seconds = max(0.0, min(seconds, left))
        try:
            heard = await asyncio.wait_for(self._queue.get(), seconds)
        except TimeoutError:
            heard = []
        return None if self.is_refused else heard


class Hub:
    """All connected pages of this process."""

    def __init__(self) -> None:
        # In the order in which they were opened.
        self._subscriptions: dict[Subscription, None] = {}
        self._by_token: dict[UUID, list[Subscription]] = {}
        self._unconfirmed: set[UUID] = set()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._subscriptions)

    @contextlib.contextmanager
    def subscribe(
        self, tags: Collection[str] | None, token: Token | None = None, most: int = 1
    ) -> Iterator[Subscription]:
        """Subscribe for as long as the block lasts.

        A token has at most ``most`` subscriptions. The oldest ends when it has more, because a
        player that lost its power or its network leaves some behind.
        """
        subscription = Subscription(tags, token)
        if self._is_closed:
            subscription.close()
        self._subscriptions[subscription] = None
        if token is not None:
            self._unconfirmed.add(token.id)
            own = self._by_token.setdefault(token.id, [])
            own.append(subscription)
            for older in own[:-most]:
                self._replace(older)
        try:
            yield subscription
        finally:
            self._subscriptions.pop(subscription, None)
            self._disown(subscription)

    def _replace(self, subscription: Subscription) -> None:
        self._subscriptions.pop(subscription, None)
        self._disown(subscription)
        subscription.is_replaced = True
        subscription.end()

    def _disown(self, subscription: Subscription) -> None:
        token = subscription.token
        own = [] if token is None else self._by_token.get(token.id, [])
        if subscription in own:
            own.remove(subscription)
        if token is not None and not own:
            self._by_token.pop(token.id, None)

    def tokens_to_confirm(self, *, have_changed: bool) -> list[UUID]:
        """The tokens to read again: of all subscriptions after a change, else of the new ones."""
        new, self._unconfirmed = self._unconfirmed, set()
        return list(self._by_token if have_changed else new & self._by_token.keys())

    def confirm(self, asked: Collection[UUID], found: Mapping[UUID, Token]) -> None:
        """Give subscriptions their tokens as stored; end those whose token is no longer valid."""
        for token_id in asked:
            for subscription in list(self._by_token.get(token_id, ())):
                if token_id in found:
                    subscription.token = found[token_id]
                if token_id not in found or subscription.is_refused:
                    subscription.end()

    def tell(self, tags: Collection[str]) -> None:
        """Queue tags for every page that wants them."""
        for subscription in self._subscriptions:
            subscription.offer(tags)

    def close(self) -> None:
        """End all subscriptions, and later ones at once."""
        self._is_closed = True
        for subscription in self._subscriptions:
            subscription.close()


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
