"""The exports of one process: how many may run, and how they end with it."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol
from uuid import UUID

from sorafeed_assets.serving.access.slots import Slots

_MOST: Final = 4
# What a process that stops leaves to an export to end by itself.
_STOP_SECONDS: Final = 5.0


class OpenExport(Protocol):
    """An export that has a connection to PostgreSQL."""

    def cancel(self) -> None:
        """End the statement that a thread waits for."""

    def close(self) -> None:
        """Return the connection."""


class Exports:
    """The exports of one event loop."""

    def __init__(self) -> None:
        self._slots = Slots("exports", _MOST, _MOST // 2)
        self._open: set[OpenExport] = set()
        self._limits: set[asyncio.Timeout] = set()
        self._end_at: float | None = None

    def __len__(self) -> int:
        return len(self._slots)

    def take(self, token_id: UUID) -> Callable[[], None]:
        """Take a slot; returns what frees it.

        Raises:
            TooManyCallsError: the token has as many as it may.
            UnavailableError: none is free.
        """
        return self._slots.take(token_id)

    @contextmanager
    def sending(self, export: OpenExport, limit: asyncio.Timeout) -> Iterator[None]:
        """Know an export and the time limit of its sending, for as long as the block lasts.

        It is open until `closed`.
        """
        self._open.add(export)
        self._limits.add(limit)
        limit.reschedule(self._end_at)
        try:
            yield
        finally:
            self._limits.remove(limit)

    def closed(self, export: OpenExport) -> None:
        """Forget an export that has returned its connection; may be called in any thread."""
        self._open.discard(export)

    def stop(self) -> None:
        """End those that are being sent, soon."""
        self._end_at = asyncio.get_running_loop().time() + _STOP_SECONDS
        for limit in self._limits:
            limit.reschedule(self._end_at)

    def cancel(self) -> None:
        """End the statements that threads wait for."""
        for export in list(self._open):
            export.cancel()

    def close(self) -> None:
        """Close those that are open, when no thread reads them any more."""
        for export in list(self._open):
            export.close()
