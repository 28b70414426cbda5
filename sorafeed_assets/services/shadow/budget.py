"""How much of the old database's time comparing may use: a share, until the pass ends."""

import time
from collections.abc import Callable
from threading import Event


class StoppedError(Exception):
    """The caller asked to stop."""


class PassOverError(Exception):
    """The time of the pass is over, so no statement begins."""


class Budget:
    """Makes the caller wait after each statement, so that statements take a share of the time.

    Args:
        share: of each second, above 0 and at most 1.
        stop: ends a wait.
        beat: called after each statement.
        end: of the pass, by `time.monotonic`; None for a pass without end.
    """

    def __init__(
        self,
        share: float,
        stop: Event | None = None,
        beat: Callable[[], None] = lambda: None,
        end: float | None = None,
    ) -> None:
        self._pause_per_second = 1 / share - 1
        self._stop = stop or Event()
        self._beat = beat
        self._end = end
        self.spent = 0.0
        self.paused = 0.0

    @property
    def is_over(self) -> bool:
        """Whether the pass has ended."""
        return self._end is not None and time.monotonic() > self._end

    def begin(self) -> None:
        """Let a statement begin.

        Raises:
            PassOverError: the pass has ended.
        """
        if self.is_over:
            raise PassOverError

    def spend(self, seconds: float) -> None:
        """Account for a statement, and wait as long as it asks for.

        Raises:
            StoppedError: the caller asked to stop.
        """
        self.spent += seconds
        pause = seconds * self._pause_per_second
        self.paused += pause
        if self._stop.wait(pause):
            raise StoppedError
        self._beat()
