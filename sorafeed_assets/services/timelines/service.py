"""The timeline service: the only writer of the queues."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Final

from psycopg.errors import ForeignKeyViolation
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError

from sorafeed_assets.domain.batches import batched
from sorafeed_assets.domain.errors import UnavailableError
from sorafeed_assets.domain.flags.known import DRIVER
from sorafeed_assets.domain.timelines.planners import PLANNERS, Planners
from sorafeed_assets.services.flags import Flags
from sorafeed_assets.services.timelines.builder import TimelineBuilder
from sorafeed_assets.services.timelines.driving import Driver, must_drive
from sorafeed_assets.services.timelines.jumping import jump
from sorafeed_assets.services.timelines.known_pools import MOST_CANDIDATES
from sorafeed_assets.services.timelines.playback import Playback
from sorafeed_assets.services.timelines.publishing import OvertakenError
from sorafeed_assets.services.timelines.rebuild import Outcomes
from sorafeed_assets.storage.playlists.rows import lock_displays
from sorafeed_assets.storage.postgres.retry import retried

# Displays of one transaction wait for each other, so their number is bounded.
_CHUNK: Final = 100
_ATTEMPTS: Final = 5

Around = Callable[[Connection, Sequence[str]], AbstractContextManager[None]]
"""Work around the rebuild of some displays, in the same transaction."""


@contextmanager
def _alone(_connection: Connection, _display_ids: Sequence[str]) -> Iterator[None]:
    yield


class TimelineService:
    """Plans timelines and publishes them as queues.

    Args:
        engine: the database.
        window: how many positions are queued ahead, at most 10.
        candidates_per_pool: how many candidates of a query are read first.
        candidates_kept: how many candidates are kept between transactions, at some 90 bytes each.
        flags: which planner plans a display, and which system drives it; by default those stored.
        planners: the planners by name.

    Attributes:
        playback: records plays, and advances the queues.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        window: int = 5,
        candidates_per_pool: int = 500,
        candidates_kept: int = MOST_CANDIDATES,
        flags: Flags | None = None,
        planners: Planners = PLANNERS,
    ) -> None:
        self._engine = engine
        self._builder = TimelineBuilder(
            window=window,
            pool_size=candidates_per_pool,
            pools_kept=candidates_kept,
            flags=flags or Flags(engine),
            planners=planners,
        )
        self.playback = Playback(engine, self._builder)

    @retried
    def repopulate(
        self, display_ids: Collection[str], around: Around = _alone, *, ahead: int = 0
    ) -> Outcomes:
        """Plan displays and bring their queues in line; equal plans write nothing.

        An unknown display, or a playlist that cannot be planned, is answered with its error;
        the display stays on its last good build, and all others are built. ``around`` is entered in
        each transaction, under the locks of its displays. Plans reach ``ahead`` picks ahead, if
        that is more than the window.
        """
        outcomes: Outcomes = {}
        book = self._builder.new_book()
        for chunk in batched(sorted(set(display_ids)), _CHUNK):
            for attempt in range(_ATTEMPTS):
                try:
                    with self._engine.begin() as connection:
                        lock_displays(connection, chunk)
                        with around(connection, chunk):
                            outcomes |= self._builder.rebuild(
                                connection, chunk, book=book, ahead=ahead
                            )
                    break
                except (OvertakenError, IntegrityError) as error:
                    if not _was_overtaken(error):
                        raise
                    book = self._builder.new_book()
                    if attempt + 1 == _ATTEMPTS:
                        raise UnavailableError(
                            "posts or playlists are deleted faster than they can be queued;"
                            " try again"
                        ) from error
        return outcomes

    @retried
    def try_plans(self, display_ids: Collection[str]) -> Outcomes:
        """Plan displays as if this system drove them, and roll everything back.

        Raises:
            UnavailableError: posts or playlists are deleted meanwhile.
        """
        outcomes: Outcomes = {}
        for chunk in batched(sorted(set(display_ids)), _CHUNK):
            with self._engine.connect() as connection:
                lock_displays(connection, chunk)
                flags = self._builder.flags.at(connection).given(DRIVER, chunk, Driver.NEW)
                try:
                    outcomes |= self._builder.rebuild(connection, chunk, flags=flags)
                except OvertakenError as error:
                    raise UnavailableError(str(error)) from error
                finally:
                    connection.rollback()
        return outcomes

    @retried
    def jump(self, display_id: str, video_id: str | None = None) -> None:
        """Send a display to a video of its plan or history, or without one to the video before.

        Raises:
            NotFoundError: there is no such display or video.
            NotDrivenError: the old system drives the display.
            SorafeedError: the display cannot be planned.
        """
        with self._engine.begin() as connection:
            lock_displays(connection, [display_id])
            flags = self._builder.flags.at(connection)
            must_drive(flags, display_id)
            book = self._builder.new_book()
            try:
                jump(
                    connection,
                    display_id,
                    video_id,
                    lambda starts: self._builder.rebuild(
                        connection, [display_id], book=book, flags=flags, starts=starts
                    ),
                )
            except OvertakenError as error:
                raise UnavailableError(str(error)) from error


def _was_overtaken(error: OvertakenError | IntegrityError) -> bool:
    """Whether a post or playlist that a plan needs was deleted meanwhile."""
    return isinstance(error, OvertakenError) or isinstance(error.orig, ForeignKeyViolation)
