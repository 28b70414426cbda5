"""Which searches of plans repeat videos, because their blocks play more than match."""

from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Final

from cachetools import LRUCache
from sqlalchemy import Connection

from sorafeed_assets.storage.timelines.queues import load_repeated_searches

_MOST_BUILDS: Final = 20_000


class RepeatedSearches:
    """Reads each plan once, as a stored plan never changes; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._searches: LRUCache[int, Sequence[str]] = LRUCache(_MOST_BUILDS)

    def of_builds(
        self, connection: Connection, builds: Mapping[str, int]
    ) -> dict[str, Sequence[str]]:
        """Display → the searches that its build repeats videos of; ``builds`` are by display."""
        with self._lock:
            known = {b: self._searches[b] for b in builds.values() if b in self._searches}
        if missing := set(builds.values()) - known.keys():
            found = load_repeated_searches(connection, missing)
            known |= {build: found.get(build, ()) for build in missing}
            with self._lock:
                self._searches.update({each: known[each] for each in missing})
        return {name: known[build] for name, build in builds.items() if known[build]}
