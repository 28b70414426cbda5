"""Supervision of a process's background work: it is repeated after any error, and reported.

The work itself is in its own module; this one only keeps it running.
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

# Errors of a server that does not answer: the work is retried at its usual interval.
_OUTAGES: Final = (SorafeedError, SQLAlchemyError, psycopg.Error, RedisError, OSError)
_LONGEST_PAUSE: Final = 30.0
_CANCEL_AGAIN_SECONDS: Final = 0.5

_log: Final = structlog.get_logger(__name__)


@dataclass(slots=True)
class WorkState:
    """The state of one kind of background work.

    Attributes:
        last_success: when it last succeeded.
        failures: how often it has failed since then.
    """

    last_success: datetime | None = None
    failures: int = 0


class Background:
    """The background work of one process. It belongs to one event loop."""

    def __init__(
        self, metrics: Metrics, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        self._metrics = metrics
        self._sleep = sleep
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.states: dict[str, WorkState] = {}

    @property
    def is_well(self) -> bool:
        """Whether the last run of all work succeeded."""
        return all(state.failures == 0 for state in self.states.values())

    def repeat(
        self,
        name: str,
        work: Callable[[], Awaitable[object]],
        every: float,
        *,
        at_once: bool = False,
    ) -> None:
        """Repeat work, each time ``every`` seconds after it ended; the first time ``at_once``."""
        self._start(name, work, every, is_once=False, waits=not at_once)

    def until_done(self, name: str, work: Callable[[], Awaitable[object]], pause: float) -> None:
        """Do work until it succeeds once, ``pause`` seconds apart; replaces a run in progress."""
        self._start(name, work, pause, is_once=True, waits=False)

    def cancel(self, name: str) -> None:
        """Stop one kind of work."""
        task = self._tasks.pop(name, None)
        if task is not None:
            task.cancel()

    def succeeded(self, name: str) -> None:
        """Record a success of work that has not returned yet."""
        state = self.states[name]
        if state.failures:
            _log.info("background work has recovered", work=name, failures=state.failures)
        state.last_success = datetime.now(UTC)
        state.failures = 0
        self._metrics.work_succeeded.labels(name).set(state.last_success.timestamp())

    async def stop(self) -> None:
        """Stop all work and wait until it has ended."""
        left = set(self._tasks.values())
        while left:
            for task in left:
                task.cancel()
            # `asyncio.wait_for`, which redis uses, swallows a cancellation at some moments.
            _ended, left = await asyncio.wait(left, timeout=_CANCEL_AGAIN_SECONDS)

    def _start(
        self,
        name: str,
        work: Callable[[], Awaitable[object]],
        pause: float,
        *,
        is_once: bool,
        waits: bool,
    ) -> None:
        self.cancel(name)
        self.states.setdefault(name, WorkState())
        self._metrics.work_failed.labels(name)
        run = self._run(name, work, pause, is_once=is_once, waits=waits)
        self._tasks[name] = asyncio.create_task(run)

    async def _run(
        self,
        name: str,
        work: Callable[[], Awaitable[object]],
        pause: float,
        *,
        is_once: bool,
        waits: bool,
    ) -> None:
        state = self.states[name]
        if waits:
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
                # A cancellation that was not requested came from within the work.
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
