"""Batches: reads and changes of the same moment share one round trip, or one transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Generic, TypeVar

_MOST_AT_ONCE: Final = 200

_Value = TypeVar("_Value")
_Item = TypeVar("_Item")


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


class BatchedChanges(Generic[_Item, _Value]):
    """Changes of one kind, for one event loop; those that come while one batch is made gather.

    A change that has no other to wait for is made at once, and a change is made even when its
    caller is cancelled meanwhile.

    Args:
        together: makes many changes at once; an answer for each, in their order, None for one
            that is not made. What it raises is raised in all callers of the batch.
        alone: makes a change that was not made together; no other change waits for it.
        most: how many changes are made at once.
    """

    def __init__(
        self,
        together: Callable[[list[_Item]], Awaitable[Sequence[_Value | None]]],
        alone: Callable[[_Item], Awaitable[_Value]],
        *,
        most: int = _MOST_AT_ONCE,
    ) -> None:
        self._together = together
        self._alone = alone
        self._most = most
        self._asked: list[tuple[_Item, asyncio.Future[_Value]]] = []
        self._making: asyncio.Task[None] | None = None
        self._made_alone: set[asyncio.Task[None]] = set()

    async def make(self, item: _Item) -> _Value:
        """Make a change, with others that come at the same time."""
        made: asyncio.Future[_Value] = asyncio.get_running_loop().create_future()
        self._asked.append((item, made))
        if self._making is None:
            self._making = asyncio.create_task(self._make_all())
        return await made

    async def _make_all(self) -> None:
        try:
            while self._asked:
                asked = self._asked[: self._most]
                del self._asked[: self._most]
                await self._make_together(asked)
        finally:
            self._making = None

    async def _make_together(self, asked: list[tuple[_Item, "asyncio.Future[_Value]"]]) -> None:
        try:
            values = await self._together([item for item, _ in asked])
        except Exception as error:  # noqa: BLE001  # raised in the callers
            for _, made in asked:
                _fail(made, error)
            return
        for (item, made), value in zip(asked, values, strict=True):
            if value is not None:
                if not made.done():
                    made.set_result(value)
                continue
            task = asyncio.create_task(self._make_alone(item, made))
            self._made_alone.add(task)
            task.add_done_callback(self._made_alone.discard)

    async def _make_alone(self, item: _Item, made: "asyncio.Future[_Value]") -> None:
        try:
            value = await self._alone(item)
        except Exception as error:  # noqa: BLE001  # raised in the caller
            _fail(made, error)
        else:
            if not made.done():
                made.set_result(value)


def _fail(made: "asyncio.Future[_Value]", error: Exception) -> None:
    if not made.done():
        made.set_exception(error)
