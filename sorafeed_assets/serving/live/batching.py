"""Batches: reads and changes of the same moment share one round trip, or one transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

from sorafeed_assets.domain.errors import BusyError
from sorafeed_assets.serving.unavailable import NOT_BEGUN

_MOST_AT_ONCE: Final = 200

_Value = TypeVar("_Value")
_Item = TypeVar("_Item")
_Stored = TypeVar("_Stored")


@dataclass(frozen=True, slots=True)
class _Asked(Generic[_Item, _Value]):
    """A change, where its caller waits, since when, and how often it was not stored with others."""

    item: _Item
    made: asyncio.Future[_Value]
    since: float
    attempts: int = 0

    def fail(self, error: Exception) -> None:
        if not self.made.done():
            self.made.set_exception(error)

    def answer(self, value: _Value) -> None:
        if not self.made.done():
            self.made.set_result(value)


class BatchedReads(Generic[_Value]):
    """Reads of one kind, for one event loop.

    Args:
        read: reads many keys at once and leaves out those that it does not find. What it raises
            is raised in all callers of the batch.
    """

    def __init__(self, read: Callable[[list[str]], Awaitable[Mapping[str, _Value]]]) -> None:
        self._read = read
        self._asked: list[tuple[str, asyncio.Future[_Value | None]]] = []
        self._reading: asyncio.Task[None] | None = None

    async def read(self, key: str) -> _Value | None:
        """Read the value of a key; None when it is not found."""
        found: asyncio.Future[_Value | None] = asyncio.get_running_loop().create_future()
        self._asked.append((key, found))
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_all())
        return await found

    async def _read_all(self) -> None:
        # While one batch is read, further calls gather for the next one.
        try:
            while self._asked:
                asked = self._asked[:_MOST_AT_ONCE]
                del self._asked[:_MOST_AT_ONCE]
                await self._answer(asked)
        finally:
            self._reading = None

    async def _answer(self, asked: list[tuple[str, "asyncio.Future[_Value | None]"]]) -> None:
        try:
            values = await self._read([key for key, _ in asked])
        except asyncio.CancelledError:
            for _, found in asked:
                found.cancel()
            raise
        except Exception as error:  # noqa: BLE001  # raised in the callers
            for _, found in asked:
                if not found.done():
                    found.set_exception(error)
        else:
            for key, found in asked:
                if not found.done():
                    found.set_result(values.get(key))


class BatchedChanges(Generic[_Item, _Stored, _Value]):
    """Changes of one kind, for one event loop; those that come while one batch is stored gather.

    A change that has no other to wait for is stored at once, and a change is made even when its
    caller is cancelled meanwhile.

    Args:
        store: stores many changes at once. What it raises is raised in all callers of the batch.
        finish: does what follows the commit, while the next batch is stored; an answer for each
            change, in their order, None for one that is not stored. What it raises is raised in
            all callers of the batch.
        otherwise: makes a change that was not stored with others; no other change waits for it.
        most: how many changes are stored at once.
        pauses: seconds before a change that was not stored is in a batch again, for each attempt;
            after the last it is made ``otherwise``.
        begins_within: seconds after which a change that still waits for a batch is not made: its
            caller has given up and asks again, and a process that is behind would never catch up.
    """

    def __init__(
        self,
        store: Callable[[list[_Item]], Awaitable[_Stored]],
        finish: Callable[[_Stored], Awaitable[Sequence[_Value | None]]],
        otherwise: Callable[[_Item], Awaitable[_Value]],
        *,
        most: int = _MOST_AT_ONCE,
        pauses: Sequence[float] = (),
        begins_within: float | None = None,
    ) -> None:
        self._begins_within = begins_within
        self._store = store
        self._finish = finish
        self._otherwise = otherwise
        self._most = most
        self._pauses = pauses
        self._asked: list[_Asked[_Item, _Value]] = []
        self._storing: asyncio.Task[None] | None = None
        self._going_on: set[asyncio.Task[None]] = set()

    async def make(self, item: _Item) -> _Value:
        """Make a change, with others that come at the same time.

        Raises:
            BusyError: it was not begun in time.
        """
        loop = asyncio.get_running_loop()
        asked: _Asked[_Item, _Value] = _Asked(item, loop.create_future(), loop.time())
        self._ask(asked)
        return await asked.made

    def _ask(self, asked: _Asked[_Item, _Value]) -> None:
        self._asked.append(asked)
        if self._storing is None:
            self._storing = asyncio.create_task(self._store_all())

    async def _store_all(self) -> None:
        try:
            while self._asked:
                batch = self._next_batch()
                if not batch:
                    continue
                try:
                    stored = await self._store([asked.item for asked in batch])
                except Exception as error:  # noqa: BLE001  # raised in the callers
                    for asked in batch:
                        asked.fail(error)
                else:
                    self._go_on(self._finish_all(batch, stored))
        finally:
            self._storing = None

    def _next_batch(self) -> list[_Asked[_Item, _Value]]:
        if self._begins_within is not None:
            oldest = asyncio.get_running_loop().time() - self._begins_within
            late = [asked for asked in self._asked if asked.since < oldest]
            if late:
                self._asked = [asked for asked in self._asked if asked.since >= oldest]
            for asked in late:
                asked.fail(BusyError(NOT_BEGUN))
        batch = self._asked[: self._most]
        del self._asked[: self._most]
        return batch

    async def _finish_all(self, batch: Sequence[_Asked[_Item, _Value]], stored: _Stored) -> None:
        try:
            values = await self._finish(stored)
        except Exception as error:  # noqa: BLE001  # raised in the callers
            for asked in batch:
                asked.fail(error)
            return
        for asked, value in zip(batch, values, strict=True):
            if value is not None:
                asked.answer(value)
            elif asked.attempts < len(self._pauses):
                self._go_on(self._ask_again(asked))
            else:
                self._go_on(self._make_otherwise(asked))

    async def _ask_again(self, asked: _Asked[_Item, _Value]) -> None:
        await asyncio.sleep(self._pauses[asked.attempts])
        self._ask(replace(asked, attempts=asked.attempts + 1))

    async def _make_otherwise(self, asked: _Asked[_Item, _Value]) -> None:
        try:
            asked.answer(await self._otherwise(asked.item))
        except Exception as error:  # noqa: BLE001  # raised in the caller
            asked.fail(error)

    def _go_on(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._going_on.add(task)
        task.add_done_callback(self._going_on.discard)
