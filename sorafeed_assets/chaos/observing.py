"""What is sampled while a run goes on: processes that answer, and waits for locks."""

import time
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from threading import Event
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from sorafeed_assets.chaos.stage import Stage
from sorafeed_assets.storage.postgres.waits import LockWait, lock_waits

_ANSWERING_SECONDS: Final = 0.1
_WAITS_SECONDS: Final = 0.02
# A process that was just killed may still be counted in a sample.
_MARGIN_SECONDS: Final = 0.3
LIMIT_SECONDS: Final = 0.1
"""A statement of a player or a scanner may wait this long for a lock."""


@dataclass(slots=True)
class Answering:
    """How many processes of the API answered, and how many hung, by monotonic time."""

    samples: list[tuple[float, int, int]] = field(default_factory=list)

    def observe(self, stage: Stage, stop: Event) -> None:
        """Sample until ``stop``."""
        while not stop.wait(_ANSWERING_SECONDS):
            self.samples.append((time.monotonic(), *stage.answering()))

    def longest(self, calls: Sequence[tuple[float, float]], *, with_hanging: bool) -> float:
        """Seconds of the longest of ``calls`` during which a process always answered.

        ``with_hanging`` says whether calls count while another process hung: the system gives it
        new connections as before.
        """
        return max(
            (end - begin for begin, end in calls if self._counts(begin, end, with_hanging)),
            default=0.0,
        )

    def _counts(self, begin: float, end: float, with_hanging: bool) -> bool:  # noqa: FBT001  # of one caller
        first = bisect_left(self.samples, begin - _MARGIN_SECONDS, key=itemgetter(0))
        last = bisect_right(self.samples, end + _MARGIN_SECONDS, key=itemgetter(0))
        return all(
            answering and (with_hanging or not hanging)
            for _, answering, hanging in self.samples[first:last]
        )


@dataclass(frozen=True, slots=True)
class LongWait:
    """A statement that waited for locks longer than it may, as it was seen last."""

    wait: LockWait
    seconds: float
    samples: int


@dataclass(slots=True)
class Waits:
    """Waits for locks by statement, from consecutive samples."""

    engine: Engine
    _seen: dict[tuple[int, int], list[tuple[float, LockWait]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def observe(self, stop: Event) -> None:
        """Sample until ``stop``; goes on after PostgreSQL was away."""
        while not stop.wait(_WAITS_SECONDS):
            try:
                with self.engine.connect() as connection:
                    self.sample(lock_waits(connection))
            except SQLAlchemyError:
                stop.wait(0.2)

    def sample(self, found: Sequence[LockWait]) -> None:
        """Add a sample."""
        now = time.monotonic()
        for wait in found:
            self._seen[wait.pid, wait.statement].append((now, wait))

    def long(self, *applications: str) -> list[LongWait]:
        """Statements of these applications that were seen waiting for longer than the limit.

        A wait is as long as the time from its first to its last sample. On a busy machine samples
        come late; then it is as long as the time in which so many are taken otherwise.
        """
        found = []
        for samples in self._seen.values():
            (first, _), (last, wait) = samples[0], samples[-1]
            seconds = min(last - first, (len(samples) - 1) * _WAITS_SECONDS)
            if seconds > LIMIT_SECONDS and wait.application.startswith(applications):
                found.append(LongWait(wait, seconds, len(samples)))
        return sorted(found, key=lambda each: -each.seconds)
