"""The reactions that this process observes: events that were sent, videos that were started.

They are noted in memory, and stored once a second, so that no request waits for a write.
"""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Engine

from sorafeed_assets.serving.http.metrics import Metrics
from sorafeed_assets.storage import reactions as stored
from sorafeed_assets.storage.cache.redis import display_tag

_PREFIX: Final = display_tag("")
# More than this between two stores are dropped: they serve statistics only.
_MOST: Final = 10_000


class Reactions:
    """The notes of one process."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._sent: list[tuple[str, datetime]] = []
        self._started: list[tuple[str, datetime]] = []

    def sent(self, tags: Collection[str]) -> None:
        """Note that an event with these tags was sent to a page or a player."""
        if len(self._sent) < _MOST:
            now = datetime.now(UTC)
            self._sent += [
                (tag.removeprefix(_PREFIX), now) for tag in tags if tag.startswith(_PREFIX)
            ]

    def started(self, display_id: str) -> None:
        """Note that a player shows the head of its queue."""
        if len(self._started) < _MOST:
            self._started.append((display_id, datetime.now(UTC)))

    def store(self, engine: Engine) -> None:
        """Store the notes, and add reactions to the histogram that no process has observed."""
        sent, self._sent = self._sent, []
        started, self._started = self._started, []
        with engine.begin() as connection:
            seconds = {
                "queue": stored.observe_queued(connection),
                "event": stored.observe_sent(connection, sent) if sent else [],
                "started": stored.observe_started(connection, started) if started else [],
            }
        for stage, values in seconds.items():
            for value in values:
                self._metrics.reactions.labels(stage).observe(max(0.0, value))
