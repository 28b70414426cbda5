"""A cache of responses: each is computed once, and invalidated by the tags it was made from.

It is independent of the type of a response; `serving.state` shows its use.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

_LIFE_SECONDS: Final = 5.0
_MOST: Final = 2_000
_MOST_BYTES: Final = 64_000_000
# A response that is requested in the last part of its lifetime is recomputed in advance.
_LAST_PART: Final = 0.3

_Value = TypeVar("_Value")


@dataclass(slots=True, eq=False)
class _Computation(Generic[_Value]):
    """A computation in progress; ``dropped`` has the tags invalidated since it began."""

    tags: set[str] = field(default_factory=set)
    dropped: set[str] = field(default_factory=set)
    task: "asyncio.Task[_Value] | None" = None


class ResponseCache(Generic[_Value]):
    """A cache for one event loop. It is empty while the channel of changes is lost.

    Args:
        life: the lifetime of a response in seconds; 0 disables the cache.
        clock: monotonic seconds.
        size_of: the bytes of a response.
        most: how many responses are kept.
        most_bytes: how many bytes all kept responses have together.
    """

    def __init__(
        self,
        life: float = _LIFE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        *,
        size_of: Callable[[_Value], int] = lambda _value: 0,
        most: int = _MOST,
        most_bytes: int = _MOST_BYTES,
    ) -> None:
        self._life = life
        self._clock = clock
        self._size_of = size_of
        self._most = most
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, tuple[float, frozenset[str], _Value]] = OrderedDict()
        self._by_tag: dict[str, set[str]] = {}
        self._shared: dict[str, _Computation[_Value]] = {}
        self._running: set[_Computation[_Value]] = set()
        self._is_trusted = False
        self.size = 0
        """The bytes of all kept responses."""
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    @property
    def is_trusted(self) -> bool:
        """Whether responses are kept."""
        return self._is_trusted

    def trust(self, *, trusted: bool) -> None:
        """Enable the cache, or clear and disable it while the channel of changes is lost."""
        self._is_trusted = trusted and self._life > 0
        # Earlier computations are not cached, because a change may have been missed.
        self.drop(["all"])

    def drop(self, tags: Collection[str]) -> None:
        """Invalidate the responses that were made from any of these tags; "all" means every one."""
        if "all" in tags:
            self._kept.clear()
            self._by_tag.clear()
            self.size = 0
        for tag in tags:
            for key in self._by_tag.pop(tag, set()).copy():
                self._forget(key)
        for computation in self._running:
            computation.dropped.update(tags)
        # Later callers must not share a computation that began before the change.
        self._shared.clear()

    def expire(self) -> None:
        """Drop the expired responses."""
        now = self._clock()
        for key in [key for key, (until, _, _) in self._kept.items() if until <= now]:
            self._forget(key)

    async def get(self, key: str, compute: Callable[[set[str]], Awaitable[_Value]]) -> _Value:
        """Return the cached response, or compute it; ``compute`` adds what it reads to its tags."""
        kept = self._kept.get(key)
        left = 0.0 if kept is None else kept[0] - self._clock()
        if kept is not None and left > 0:
            self.hits += 1
            if left < self._life * _LAST_PART and key not in self._shared:
                # Frequent callers never wait. An error is raised at a later call.
                self._begin(key, compute).add_done_callback(_look_at)
            return kept[2]
        self.misses += 1
        computation = self._shared.get(key)
        if computation is None or computation.task is None:
            return await asyncio.shield(self._begin(key, compute))
        return await asyncio.shield(computation.task)

    def _begin(
        self, key: str, compute: Callable[[set[str]], Awaitable[_Value]]
    ) -> "asyncio.Task[_Value]":
        # A separate task, so that it continues when the first caller is cancelled.
        computation: _Computation[_Value] = _Computation()
        task = asyncio.create_task(self._compute(key, computation, compute))
        computation.task = task
        self._running.add(computation)
        if self._is_trusted:
            self._shared[key] = computation
        return task

    async def _compute(
        self,
        key: str,
        computation: _Computation[_Value],
        compute: Callable[[set[str]], Awaitable[_Value]],
    ) -> _Value:
        begun = self._clock()
        try:
            value = await compute(computation.tags)
            overtaken = "all" in computation.dropped or computation.tags & computation.dropped
            if self._is_trusted and not overtaken:
                self._keep(key, frozenset(computation.tags), value, begun)
            return value
        finally:
            self._running.discard(computation)
            if self._shared.get(key) is computation:
                del self._shared[key]

    def _keep(self, key: str, tags: frozenset[str], value: _Value, begun: float) -> None:
        self._forget(key)
        size = self._size_of(value)
        if size > self._most_bytes:
            return
        self._kept[key] = (begun + self._life, tags, value)
        self.size += size
        for tag in tags:
            self._by_tag.setdefault(tag, set()).add(key)
        while len(self._kept) > self._most or self.size > self._most_bytes:
            self._forget(next(iter(self._kept)))

    def _forget(self, key: str) -> None:
        kept = self._kept.pop(key, None)
        if kept is None:
            return
        self.size -= self._size_of(kept[2])
        for tag in kept[1]:
            keys = self._by_tag.get(tag)
            if keys is not None:
                keys.discard(key)
                if not keys:
                    del self._by_tag[tag]


def _look_at(task: "asyncio.Task[_Value]") -> None:
    """Retrieve the exception of a computation that no caller waits for."""
    if not task.cancelled():
        task.exception()
