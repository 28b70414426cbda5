"""What is sampled while a run goes on: processes that answer, and waits for locks."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from sorafeed_assets.chaos.stage import Stage
from sorafeed_assets.storage.postgres.waits import LockWait, lock_waits

_ANSWERING_SECONDS: Final = 0.1
_WAITS_SECONDS: Final = 0.02
LIMIT_SECONDS: Final = 0.1
"""A statement of a player or a scanner may wait this long for a lock."""


@dataclass(slots=True)
class Answering:
    """How many processes of the API answered, by monotonic time."""

    samples: list[tuple[float, int]] = field(default_factory=list)

    def observe(self, stage: Stage, stop: Event) -> None:
        """Sample until ``stop``."""
        while not stop.wait(_ANSWERING_SECONDS):
            self.samples.append((time.monotonic(), stage.answering()))

    def always(self, begin: float, end: float) -> bool:
        """Whether one answered in all samples between two moments."""
        return all(number for moment, number in self.samples if begin - 0.2 <= moment <= end + 0.2)

    def longest(self, calls: Sequence[tuple[float, float]]) -> float:
        """Seconds of the longest of ``calls`` during which one always answered."""
        return max((end - begin for begin, end in calls if self.always(begin, end)), default=0.0)


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
