"""The timeline service: the one owner of every write to the queues."""

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Final
from uuid import UUID

from psycopg.errors import ForeignKeyViolation
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from sorafeed_assets.domain.errors import (
    InvalidInputError,
    SorafeedError,
    UnavailableError,
)
from sorafeed_assets.services.timelines.advancing import Advance, answer_again, move_on
from sorafeed_assets.services.timelines.book import CandidateBook
from sorafeed_assets.services.timelines.publishing import OvertakenError
from sorafeed_assets.services.timelines.rebuild import Outcomes, rebuild
from sorafeed_assets.storage.playlists.rows import lock_displays
from sorafeed_assets.storage.postgres.locks import LockSpace, lock
from sorafeed_assets.storage.postgres.retry import retried
from sorafeed_assets.storage.timelines import writes

_log: Final = logging.getLogger(__name__)

# Displays wait for each other while one transaction builds them: not too many at once.
_CHUNK: Final = 100
_ATTEMPTS: Final = 5


Around = Callable[[Connection, Sequence[str]], AbstractContextManager[None]]
"""What goes with the rebuilding of some displays, in the same transaction."""


@contextmanager
def _alone(_connection: Connection, _display_ids: Sequence[str]) -> Iterator[None]:
    yield


class TimelineService:
    """Plans timelines, publishes them as queues and moves them on.

    Args:
        engine: the database.
        window: how many positions are queued ahead, at most 10.
        candidates_per_pool: how many candidates of a query are read first.
    """

    def __init__(self, engine: Engine, *, window: int = 5, candidates_per_pool: int = 500) -> None:
        self._engine = engine
        self._window = window
        self._pool_size = candidates_per_pool

    @retried
    def repopulate(self, display_ids: Collection[str], around: Around = _alone) -> Outcomes:
        """Plan displays and bring their queues in line; equal plans write nothing.

        An unknown display, or a playlist that cannot be planned, is answered with its error;
        the display stays on its last good build, and all others go on. ``around`` is entered in
        each transaction, under the locks of its displays.
        """
        ordered = sorted(set(display_ids))
        outcomes: Outcomes = {}
        book = CandidateBook(self._pool_size)
        for start in range(0, len(ordered), _CHUNK):
            chunk = ordered[start : start + _CHUNK]
            for attempt in range(_ATTEMPTS):
                try:
                    with self._engine.begin() as connection:
                        lock_displays(connection, chunk)
                        with around(connection, chunk):
                            outcomes |= rebuild(connection, book, chunk, self._window)
                    break
                except (OvertakenError, IntegrityError) as error:
                    if not _was_overtaken(error):
                        raise
                    book = CandidateBook(self._pool_size)
                    if attempt + 1 == _ATTEMPTS:
                        raise UnavailableError(
                            "posts or playlists are deleted faster than they can be queued;"
                            " repopulate again"
                        ) from error
        return outcomes

    @retried
    def begin(self, display_id: str, timeline_video_id: UUID) -> bool:
        """Record that the head of a queue is being shown; False when this row is not the head.

        What is being shown goes on when its playlist is edited.
        """
        with self._engine.begin() as connection:
            lock(connection, LockSpace.DISPLAY, [display_id])
            return writes.begin_head(connection, display_id, timeline_video_id)

    @retried
    def advance(
        self,
        display_id: str,
        timeline_video_id: UUID,
        *,
        skipped: bool = False,
        at: datetime | None = None,
    ) -> Advance:
        """Record that a queued video was played, and go on to the next one.

        Rows before it leave the queue too, as skipped plays if they were being shown. A row that
        was advanced before gets the same answer again, without a write.

        Args:
            display_id: whose queue it is.
            timeline_video_id: the row of the queue.
            skipped: whether the video was left before its end.
            at: when it was played, now unless told.

        Raises:
            InvalidInputError: ``at`` has no time zone.
            NotFoundError: the display, or the row in its queue, does not exist.
        """
        if at is not None and at.tzinfo is None:
            raise InvalidInputError("at", f"is {at.isoformat()}; add its time zone")
        with self._engine.begin() as connection:
            answer, is_short = move_on(
                connection, display_id, timeline_video_id, self._window, skipped=skipped, at=at
            )
            if is_short:
                self._plan_on(connection, display_id)
                answer = answer_again(connection, display_id, timeline_video_id)
            return answer

    def _plan_on(self, connection: Connection, display_id: str) -> None:
        """Plan further; if that fails the play stays recorded, and the queue is just shorter."""
        try:
            with connection.begin_nested():
                book = CandidateBook(self._pool_size)
                outcome = rebuild(connection, book, [display_id], self._window)[display_id]
                writes.mark_playing(connection, display_id)
        except (SorafeedError, SQLAlchemyError) as error:
            _log.warning("display %s advanced, but planning on failed: %s", display_id, error)
        else:
            if isinstance(outcome, SorafeedError):
                _log.warning("display %s advanced without a new plan: %s", display_id, outcome)


def _was_overtaken(error: OvertakenError | IntegrityError) -> bool:
    """Whether something that a plan needs was deleted meanwhile."""
    return isinstance(error, OvertakenError) or isinstance(error.orig, ForeignKeyViolation)
