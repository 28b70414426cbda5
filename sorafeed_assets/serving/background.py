"""Background work of one process: repeated whatever happens to it, and its state shown.

What the work does is written where it belongs; here is only how it is kept running.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import psycopg
import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from sorafeed_assets.domain.errors import SorafeedError
from sorafeed_assets.serving.http.metrics import Metrics

# Servers that are away: they come back by themselves, and are waited for at the usual pace.
_OUTAGES: Final = (SorafeedError, SQLAlchemyError, psycopg.Error, RedisError, OSError)
_LONGEST_PAUSE: Final = 30.0

_log: Final = structlog.get_logger(__name__)


@dataclass(slots=True)
class WorkState:
    """How one kind of background work is doing.

    Attributes:
        last_success: when it last went well.
        failures: how often it failed since then.
    """

    last_success: datetime | None = None
    failures: int = 0


class Background:
    """The background work of a process, for its event loop."""

    def __init__(
        self, metrics: Metrics, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._metrics = metrics
        self._sleep = sleep
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.states: dict[str, WorkState] = {}

    @property
    def is_well(self) -> bool:
        """Whether nothing failed the last time."""
        return all(state.failures == 0 for state in self.states.values())

    def repeat(self, name: str, work: Callable[[], Awaitable[object]], every: float) -> None:
        """Do work again and again, ``every`` seconds after it ended."""
        self._start(name, work, every, is_once=False)

    def until_done(self, name: str, work: Callable[[], Awaitable[object]], pause: float) -> None:
        """Do work once, again after ``pause`` seconds if it fails; what is under way is dropped."""
        self._start(name, work, pause, is_once=True)

    def cancel(self, name: str) -> None:
        """Stop one kind of work."""
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()

    def succeeded(self, name: str) -> None:
        """Note that work goes well which has not ended."""
        state = self.states[name]
        if state.failures:
            _log.info("background work goes on", work=name, failures=state.failures)
        state.last_success = datetime.now(UTC)
        state.failures = 0
        self._metrics.work_succeeded.labels(name).set(state.last_success.timestamp())

    async def stop(self) -> None:
        """Stop all work, and wait until it has ended."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(
        self, name: str, work: Callable[[], Awaitable[object]], pause: float, *, is_once: bool
    ) -> None:
        self.cancel(name)
        self.states.setdefault(name, WorkState())
        self._metrics.work_failed.labels(name)
        self._tasks[name] = asyncio.create_task(self._run(name, work, pause, is_once=is_once))

    async def _run(
        self, name: str, work: Callable[[], Awaitable[object]], pause: float, *, is_once: bool
    ) -> None:
        state = self.states[name]
        if not is_once:
            await self._sleep(pause)
        while True:
            longer = pause
            try:
                await work()
            except _OUTAGES as error:
                self._failed(name)
                if state.failures == 1:
                    _log.warning("background work waits", work=name, problem=str(error))
            except (Exception, asyncio.CancelledError) as error:
                # A cancellation that nobody asked for came from within the work.
                task = asyncio.current_task()
                if isinstance(error, asyncio.CancelledError) and task and task.cancelling():
                    raise
                self._failed(name)
                _log.error("background work failed", work=name, exc_info=error)
                longer = max(pause, min(pause * 2**state.failures, _LONGEST_PAUSE))
            else:
                self.succeeded(name)
                if is_once:
                    return
            await self._sleep(longer)

    def _failed(self, name: str) -> None:
        self.states[name].failures += 1
        self._metrics.work_failed.labels(name).inc()
