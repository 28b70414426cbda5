"""What could not be written to Redis, until it is."""

from collections.abc import Collection
from threading import Lock


class Unwritten:
    """Snapshots and tags that could not be written to Redis; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.displays: set[str] = set()
        self._tags: set[str] = set()
        self._counts = False

    def add(self, displays: Collection[str], tags: Collection[str]) -> None:
        """Note displays whose snapshots are not written, and tags that nobody was told."""
        with self._lock:
            self.displays.update(displays)
            self._tags.update(tags)

    def add_counts(self) -> None:
        """Note that the totals are not written."""
        with self._lock:
            self._counts = True

    def take(self) -> tuple[set[str], set[str], bool]:
        """Remove and return the displays, the tags, and whether the totals are unwritten."""
        with self._lock:
            taken = self.displays, self._tags, self._counts
            self.displays, self._tags, self._counts = set(), set(), False
            return taken
