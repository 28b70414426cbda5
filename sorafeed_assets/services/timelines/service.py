"""The timeline service: the only writer of the queues."""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Final, NamedTuple, TypeVar
from uuid import UUID

from opentelemetry import trace
from psycopg.errors import ForeignKeyViolation
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from sorafeed_assets.domain.errors import (
    DisplayNotFoundError,
    InvalidInputError,
    NotDrivenError,
    SorafeedError,
    UnavailableError,
)
from sorafeed_assets.domain.flags.known import DRIVER
from sorafeed_assets.domain.timelines.planners import PLANNERS, Planners
from sorafeed_assets.services.flags import Flags
from sorafeed_assets.services.timelines.advancing import (
    Advance,
    Play,
    Walk,
    Written,
    answer_all,
    no_entry,
    walk_all,
    write_walks,
)
from sorafeed_assets.services.timelines.book import CandidateBook
from sorafeed_assets.services.timelines.driving import Driver, driven_by, must_drive
from sorafeed_assets.services.timelines.late import (
    LatePlay,
    name_queued,
    record_unqueued,
    walk_late,
)
from sorafeed_assets.services.timelines.publishing import OvertakenError
from sorafeed_assets.services.timelines.rebuild import Outcomes, rebuild
from sorafeed_assets.storage.playlists.rows import display_ids as existing_displays
from sorafeed_assets.storage.playlists.rows import lock_displays
from sorafeed_assets.storage.postgres.locks import LockSpace, lock, try_lock, wait_at_most
from sorafeed_assets.storage.postgres.retry import retried
from sorafeed_assets.storage.timelines import writes
from sorafeed_assets.storage.timelines.advance import (
    Head,
    PlayedTimeline,
    load_free_heads,
    load_heads,
    load_plays,
)

_log: Final = logging.getLogger(__name__)
_tracer: Final = trace.get_tracer(__name__)

# Displays of one transaction wait for each other, so their number is bounded.
_CHUNK: Final = 100
_ATTEMPTS: Final = 5
LONGEST_WAIT: Final = 0.09
"""Seconds that a player's statement waits for a lock: a player repeats what was not stored, and
statements that wait for a display keep the threads from those of others."""


_Also = TypeVar("_Also")

Around = Callable[[Connection, Sequence[str]], AbstractContextManager[None]]
"""Work around the rebuild of some displays, in the same transaction."""

Known = Callable[[Collection[str]], Collection[str]]
"""Of some displays, the queue rows whose videos the caller has."""


@contextmanager
def _alone(_connection: Connection, _display_ids: Sequence[str]) -> Iterator[None]:
    yield


class AdvancedAtOnce(NamedTuple):
    """The answers to plays, and the snapshots of their displays but of those ``planned``."""

    answers: Sequence[Advance | SorafeedError | None]
    timelines: Sequence[PlayedTimeline] = ()
    planned: Collection[str] = ()


class TimelineService:
    """Plans timelines, publishes them as queues and advances them.

    Args:
        engine: the database.
        window: how many positions are queued ahead, at most 10.
        candidates_per_pool: how many candidates of a query are read first.
        flags: which planner plans a display, and which system drives it; by default those stored.
        planners: the planners by name.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        window: int = 5,
        candidates_per_pool: int = 500,
        flags: Flags | None = None,
        planners: Planners = PLANNERS,
    ) -> None:
        self._engine = engine
        self._window = window
        self._pool_size = candidates_per_pool
        self._flags = flags or Flags(engine)
        self._planners = planners

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
                            outcomes |= self._rebuild(connection, book, chunk, ahead)
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
    def try_plans(self, display_ids: Collection[str]) -> Outcomes:
        """Plan displays as if this system drove them, and roll everything back.

        Raises:
            UnavailableError: posts or playlists are deleted meanwhile.
        """
        outcomes: Outcomes = {}
        ordered = sorted(set(display_ids))
        for start in range(0, len(ordered), _CHUNK):
            chunk = ordered[start : start + _CHUNK]
            with self._engine.connect() as connection:
                lock_displays(connection, chunk)
                flags = self._flags.at(connection).given(DRIVER, chunk, Driver.NEW)
                try:
                    outcomes |= rebuild(
                        connection,
                        CandidateBook(self._pool_size),
                        chunk,
                        self._window,
                        flags=flags,
                        planners=self._planners,
                    )
                except OvertakenError as error:
                    raise UnavailableError(str(error)) from error
                finally:
                    connection.rollback()
        return outcomes

    def _rebuild(
        self,
        connection: Connection,
        book: CandidateBook,
        display_ids: Sequence[str],
        ahead: int = 0,
    ) -> Outcomes:
        return rebuild(
            connection,
            book,
            display_ids,
            self._window,
            ahead,
            flags=self._flags.at(connection),
            planners=self._planners,
        )

    @retried
    def begin(
        self,
        display_id: str,
        timeline_video_id: UUID,
        also: Callable[[Connection, Collection[str]], _Also],
    ) -> tuple[bool, _Also | None]:
        """Record that the head of a queue is being shown; False when this row is not the head.

        The video on screen continues when its playlist is edited. ``also`` is called before the
        commit, unless the display's snapshot is locked; what it returns is returned.

        Raises:
            NotDrivenError: the old system drives the display.
            BusyError: another transaction has the display.
        """
        with self._engine.begin() as connection:
            wait_at_most(connection, LONGEST_WAIT)
            lock(connection, LockSpace.DISPLAY, [display_id])
            must_drive(self._flags.at(connection), display_id)
            free = try_lock(connection, [LockSpace.SNAPSHOT], [display_id])
            begun = writes.begin_head(connection, display_id, timeline_video_id)
            return begun, also(connection, free) if begun and free else None

    def advance(
        self,
        display_id: str,
        timeline_video_id: UUID,
        *,
        skipped: bool = False,
        at: datetime | None = None,
    ) -> Advance:
        """Record that a queued video was played, and advance to the next one.

        Rows before it leave the queue too, as skipped plays if they were being shown. A row that
        was advanced before gets the same answer again, without a write.

        Args:
            display_id: whose queue it is.
            timeline_video_id: the row of the queue.
            skipped: whether the video was skipped before its end.
            at: when it was played, by default now.

        Raises:
            InvalidInputError: ``at`` has no time zone.
            NotFoundError: the display, or the row in its queue, does not exist.
            NotDrivenError: the old system drives the display.
        """
        if at is not None and at.tzinfo is None:
            raise InvalidInputError("at", f"is {at.isoformat()}; add its time zone")
        play = Play(display_id, timeline_video_id, skipped, at)
        return self.advance_alone(play, lambda _ids: (), is_player=False)[0]

    @retried
    @_tracer.start_as_current_span("advance")
    def advance_alone(
        self, play: Play, known: Known, *, is_player: bool = True
    ) -> tuple[Advance, PlayedTimeline | None]:
        """`advance`, with the snapshot of the display, but for the videos of the rows ``known``.

        There is none when the display's snapshot is locked, or when it was planned further. For a
        player no statement waits long for a lock.

        Raises:
            BusyError: another transaction has the display.
        """
        display_id, entry = play.display_id, (play.display_id, play.timeline_video_id)
        with self._engine.begin() as connection:
            if is_player:
                wait_at_most(connection, LONGEST_WAIT)
            lock(connection, LockSpace.DISPLAY, [display_id])
            free = try_lock(connection, [LockSpace.SNAPSHOT], [display_id])
            head = self._head(connection, display_id, known([display_id]))
            must_drive(self._flags.of_version(connection, head.flags_version), display_id)
            walk, written = Walk(head, self._window), Written()
            if head.playlist_id is not None and walk.has(play.timeline_video_id):
                walk = walk.after(play)
                written = write_walks(connection, [walk])
                if written.short:
                    self._plan_on(connection, [display_id])
                    walk = Walk(self._head(connection, display_id), self._window)
            played = load_plays(connection, [entry]).get(entry)
            if played is None:
                raise no_entry(play)
        is_current = free and not written.short
        queued = written.queued.get(display_id, ())
        return walk.answer(played), walk.snapshot(queued) if is_current else None

    def _head(self, connection: Connection, display_id: str, known: Collection[str] = ()) -> Head:
        heads = load_heads(connection, [display_id], 2 * self._window, known)
        if display_id not in heads:
            raise DisplayNotFoundError(display_id)
        return heads[display_id]

    @_tracer.start_as_current_span("advance")
    def advance_at_once(
        self,
        plays: Sequence[Play],
        known: Known,
        *,
        plans: bool = False,
    ) -> AdvancedAtOnce:
        """Record many plays in one transaction that waits for no other one.

        The answers are those of `advance` for one play after the other. A play is answered with
        None, and not recorded, when its display is locked elsewhere or its row is not stored yet:
        it is for a later call, or for `advance`. So is one that needs a plan, unless this call
        ``plans``.

        Args:
            plays: in the order in which they were told.
            known: names the queue rows of displays whose videos are not to be read.
            plans: whether displays may be planned that need it.
        """
        asked = {play.display_id for play in plays}
        with self._engine.begin() as connection:
            free = try_lock(connection, [LockSpace.DISPLAY, LockSpace.SNAPSHOT], asked)
            entries = [play.timeline_video_id for play in plays]
            found = load_free_heads(connection, free, entries, 2 * self._window, known(free))
            driven = self._driven(connection, found)
            heads = {name: head for name, head in found.items() if name in driven}
            after, walks = walk_all(heads, plays, self._window, plans=plans)
            written = write_walks(connection, walks)
            if written.short:
                last = [walk for walk in walks if walk.head.display_id in written.short]
                planned = self._planned_on(connection, last)
                after |= {n: planned[walk] for n, walk in after.items() if walk in planned}
            answered = answer_all(connection, plays, after, written.plays)
            missing = asked - found.keys()
            exist = {*found, *(existing_displays(connection, missing) if missing else ())}
            answers = [
                DisplayNotFoundError(play.display_id)
                if play.display_id not in exist
                else NotDrivenError(play.display_id)
                if play.display_id in found.keys() - driven
                else answered.get(number)
                for number, play in enumerate(plays)
            ]
        timelines = [
            walk.snapshot(written.queued.get(walk.head.display_id, ()))
            for walk in walks
            if walk.head.display_id not in written.short
        ]
        return AdvancedAtOnce(answers, timelines, written.short)

    def advance_late(
        self, display_id: str, plays: Sequence[LatePlay]
    ) -> list[Advance | SorafeedError]:
        """Record plays of a display that were shown while it reached no server, in their order.

        Raises:
            DisplayNotFoundError: there is no such display.
            NotDrivenError: the old system drives it.
        """
        answers: list[Advance | SorafeedError] = []
        while len(answers) < len(plays):
            answers += self._advance_some(display_id, plays[len(answers) :])
        return answers

    @retried
    @_tracer.start_as_current_span("advance")
    def _advance_some(
        self, display_id: str, plays: Sequence[LatePlay]
    ) -> list[Advance | SorafeedError]:
        """The answers to the first of some late plays, which one transaction records."""
        with self._engine.begin() as connection:
            lock(connection, LockSpace.DISPLAY, [display_id])
            head = self._head(connection, display_id)
            must_drive(self._flags.of_version(connection, head.flags_version), display_id)
            if head.playlist_id is not None and name_queued(connection, display_id, plays):
                head = self._head(connection, display_id)
            before = load_plays(connection, [(display_id, late.entry) for late in plays])
            recorded = {entry: row for (_, entry), row in before.items()}
            late = walk_late(head, plays, recorded, self._window)
            written = write_walks(connection, [late.walk])
            recorded |= written.plays
            recorded |= record_unqueued(connection, display_id, late.unqueued)
            walk = late.walk
            if written.short:
                self._plan_on(connection, [display_id])
                walk = Walk(self._head(connection, display_id), self._window)
        rows = [recorded.get(each.entry) for each in plays[: late.decided]]
        return [
            no_entry(each.play) if row is None else walk.answer(row)
            for each, row in zip(plays[: late.decided], rows, strict=True)
        ]

    def _driven(self, connection: Connection, heads: Mapping[str, Head]) -> set[str]:
        """Those of the displays that this system drives."""
        if not heads:
            return set()
        # The same in all of them, because one statement has read them.
        version = next(iter(heads.values())).flags_version
        return driven_by(self._flags.of_version(connection, version), [Driver.NEW], heads)

    def _planned_on(self, connection: Connection, short: Sequence[Walk]) -> dict[Walk, Walk]:
        """Plan displays further whose queue is too short after a walk; where they stand then."""
        codes = sorted(walk.head.display_id for walk in short)
        self._plan_on(connection, codes)
        heads = load_heads(connection, codes, self._window)
        return {walk: Walk(heads[walk.head.display_id], self._window) for walk in short}

    def _plan_on(self, connection: Connection, display_ids: Sequence[str]) -> None:
        """Plan further; if that fails the plays stay recorded, and a queue is just shorter."""
        try:
            with connection.begin_nested():
                book = CandidateBook(self._pool_size)
                outcomes = self._rebuild(connection, book, display_ids)
                writes.mark_playing(connection, display_ids)
        except (SorafeedError, SQLAlchemyError) as error:
            if len(display_ids) > 1:
                for display_id in display_ids:
                    self._plan_on(connection, [display_id])
                return
            _log.warning("display %s advanced, but planning failed: %s", display_ids[0], error)
        else:
            for display_id, outcome in outcomes.items():
                if isinstance(outcome, SorafeedError):
                    _log.warning("display %s advanced without a new plan: %s", display_id, outcome)


def _was_overtaken(error: OvertakenError | IntegrityError) -> bool:
    """Whether a post or playlist that a plan needs was deleted meanwhile."""
    return isinstance(error, OvertakenError) or isinstance(error.orig, ForeignKeyViolation)
