"""The share of the old database's time that comparing may use."""

from collections.abc import Callable
from threading import Event


class StoppedError(Exception):
    """The caller asked to stop."""


class Budget:
    """Makes the caller wait after each statement, so that statements take a share of the time.

    Args:
        share: of each second, above 0 and at most 1.
        stop: ends a wait.
        beat: called after each statement.
    """

    def __init__(
        self, share: float, stop: Event | None = None, beat: Callable[[], None] = lambda: None
    ) -> None:
        self._pause_per_second = 1 / share - 1
        self._stop = stop or Event()
        self._beat = beat
        self.spent = 0.0
        self.paused = 0.0

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
