"""Displays that play: a video begins, was played, and the next one follows."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple, TypeVar
from uuid import UUID

from opentelemetry import trace
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from sorafeed_assets.domain.errors import (
    DisplayNotFoundError,
    InvalidInputError,
    NotDrivenError,
    SorafeedError,
)
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
from sorafeed_assets.services.timelines.builder import TimelineBuilder
from sorafeed_assets.services.timelines.driving import Driver, driven_by, must_drive
from sorafeed_assets.services.timelines.late import (
    LatePlay,
    name_queued,
    record_unqueued,
    walk_late,
)
from sorafeed_assets.storage.playlists.rows import display_ids as existing_displays
from sorafeed_assets.storage.postgres.locks import (
    LockSpace,
    lock,
    plan_as_usual,
    try_lock,
    wait_at_most,
)
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

LONGEST_WAIT: Final = 0.09
"""Seconds that a player's statement waits for a lock: a player repeats what was not stored, and
statements that wait for a display keep the threads from those of others."""

_Also = TypeVar("_Also")

Known = Callable[[Collection[str]], Collection[str]]
"""Of some displays, the queue rows whose videos the caller has."""


class AdvancedAtOnce(NamedTuple):
    """The answers to plays, and the snapshots of their displays but of those ``planned``."""

    answers: Sequence[Advance | SorafeedError | None]
    timelines: Sequence[PlayedTimeline] = ()
    planned: Collection[str] = ()


class Playback:
    """Records what displays play, and advances them by their stored plans.

    Where a plan ends, the display is planned further in the same transaction.

    Args:
        engine: the database.
        builder: plans displays further.
    """

    def __init__(self, engine: Engine, builder: TimelineBuilder) -> None:
        self._engine = engine
        self._builder = builder
        self._flags = builder.flags
        self._window = builder.window

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
            plays: in the order in which they were reported.
            known: names the queue rows of displays whose videos are not to be read.
            plans: whether displays may be planned that need it.
        """
        asked = {play.display_id for play in plays}
        with self._engine.begin() as connection:
            spaces = [LockSpace.DISPLAY, LockSpace.SNAPSHOT]
            free = try_lock(connection, spaces, asked, plans_once=not plans)
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
        plan_as_usual(connection)
        self._plan_on(connection, codes)
        heads = load_heads(connection, codes, self._window)
        return {walk: Walk(heads[walk.head.display_id], self._window) for walk in short}

    def _plan_on(self, connection: Connection, display_ids: Sequence[str]) -> None:
        """Plan further; if that fails the plays stay recorded, and a queue is only shorter."""
        try:
            with connection.begin_nested():
                outcomes = self._builder.rebuild(connection, display_ids)
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
