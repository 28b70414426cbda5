"""Batched reads: calls of the same moment share one round trip."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Generic, TypeVar

_MOST_AT_ONCE: Final = 200

_Value = TypeVar("_Value")


class BatchedReads(Generic[_Value]):
    """Reads of one kind, for one event loop.

    Args:
        read: reads many at once; what it does not find is left out. It may raise anything, which
            all who asked are told.
    """

    def __init__(self, read: Callable[[list[str]], Awaitable[Mapping[str, _Value]]]) -> None:
        self._read = read
        self._asked: list[tuple[str, asyncio.Future[_Value | None]]] = []
        self._reading: asyncio.Task[None] | None = None

    async def read(self, key: str) -> _Value | None:
        """What is there under a key; None when there is nothing."""
        found: asyncio.Future[_Value | None] = asyncio.get_running_loop().create_future()
        self._asked.append((key, found))
        if self._reading is None:
            self._reading = asyncio.create_task(self._read_all())
        return await found

    async def _read_all(self) -> None:
        # While one answer is on its way, others gather for the next: a crowd costs little more.
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
        except Exception as error:  # noqa: BLE001  # whatever it is, it is told to who asked
            for _, found in asked:
                if not found.done():
                    found.set_exception(error)
        else:
            for key, found in asked:
                if not found.done():
                    found.set_result(values.get(key))
