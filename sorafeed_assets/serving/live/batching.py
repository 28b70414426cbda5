"""Batched reads: calls of the same moment share one round trip."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Generic, TypeVar

_MOST_AT_ONCE: Final = 200

_Value = TypeVar("_Value")


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
