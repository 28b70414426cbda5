"""What went wrong for players in this process: videos they could not show, requests that failed.

It is noted in memory, and stored every few seconds, so that no request waits for a write.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import Engine

from sorafeed_assets.domain.errors import SorafeedError
from sorafeed_assets.services.timelines.advancing import Advance, Play
from sorafeed_assets.storage.rollouts.players import add_failures, add_requests

# More than this between two stores are dropped: they serve statistics only.
_MOST: Final = 10_000


class Troubles:
    """The notes of one process."""

    def __init__(self) -> None:
        self._failures: list[tuple[UUID, str]] = []
        self._requests: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()

    def played(self, plays: Sequence[Play], answers: Sequence[Advance | SorafeedError]) -> None:
        """Note the plays whose video the player could not show: it reports them as skipped."""
        for play, answer in zip(plays, answers, strict=True):
            if not play.skipped or not isinstance(answer, Advance) or not answer.skipped:
                continue
            if len(self._failures) < _MOST:
                self._failures.append((play.timeline_video_id, play.display_id))

    def answered(self, display_id: str, status: int) -> None:
        """Note a request of a display's player; one that is refused is not counted."""
        if status < 400 or status >= 500:
            if display_id in self._requests or len(self._requests) < _MOST:
                self._requests[display_id] += 1
            if status >= 500 and display_id in self._requests:
                self._errors[display_id] += 1

    def store(self, engine: Engine) -> None:
        """Store the notes; what cannot be stored now is stored the next time."""
        failures, self._failures = self._failures, []
        requests, self._requests = self._requests, Counter()
        errors, self._errors = self._errors, Counter()
        if not failures and not requests:
            return
        try:
            with engine.begin() as connection:
                if failures:
                    add_failures(connection, failures)
                if requests:
                    numbers = {code: (n, errors[code]) for code, n in requests.items()}
                    add_requests(connection, numbers)
        except BaseException:
            self._failures = (failures + self._failures)[:_MOST]
            self._requests.update(requests)
            self._errors.update(errors)
            raise
