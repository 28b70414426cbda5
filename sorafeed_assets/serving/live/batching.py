"""Batches: reads and changes of the same moment share one round trip, or one transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

_MOST_AT_ONCE: Final = 200

_Value = TypeVar("_Value")
_Item = TypeVar("_Item")
_Stored = TypeVar("_Stored")
_Asked = tuple[_Item, asyncio.Future[_Value]]


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
    """

    def __init__(
        self,
        store: Callable[[list[_Item]], Awaitable[_Stored]],
        finish: Callable[[_Stored], Awaitable[Sequence[_Value | None]]],
        otherwise: Callable[[_Item], Awaitable[_Value]],
        *,
        most: int = _MOST_AT_ONCE,
    ) -> None:
        self._store = store
        self._finish = finish
        self._otherwise = otherwise
        self._most = most
        self._asked: list[_Asked[_Item, _Value]] = []
        self._storing: asyncio.Task[None] | None = None
        self._going_on: set[asyncio.Task[None]] = set()

    async def make(self, item: _Item) -> _Value:
        """Make a change, with others that come at the same time."""
        made: asyncio.Future[_Value] = asyncio.get_running_loop().create_future()
        self._asked.append((item, made))
        if self._storing is None:
            self._storing = asyncio.create_task(self._store_all())
        return await made

    async def _store_all(self) -> None:
        try:
            while self._asked:
                asked = self._asked[: self._most]
                del self._asked[: self._most]
                try:
                    stored = await self._store([item for item, _ in asked])
                except Exception as error:  # noqa: BLE001  # raised in the callers
                    _fail(asked, error)
                else:
                    self._go_on(self._finish_all(asked, stored))
        finally:
            self._storing = None

    async def _finish_all(self, asked: "list[_Asked[_Item, _Value]]", stored: _Stored) -> None:
        try:
            values = await self._finish(stored)
        except Exception as error:  # noqa: BLE001  # raised in the callers
            _fail(asked, error)
            return
        for (item, made), value in zip(asked, values, strict=True):
            if value is None:
                self._go_on(self._make_otherwise(item, made))
            elif not made.done():
                made.set_result(value)

    async def _make_otherwise(self, item: _Item, made: "asyncio.Future[_Value]") -> None:
        try:
            value = await self._otherwise(item)
        except Exception as error:  # noqa: BLE001  # raised in the caller
            _fail([(item, made)], error)
        else:
            if not made.done():
                made.set_result(value)

    def _go_on(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._going_on.add(task)
        task.add_done_callback(self._going_on.discard)


def _fail(asked: "Sequence[_Asked[_Item, _Value]]", error: Exception) -> None:
    for _, made in asked:
        if not made.done():
            made.set_exception(error)
