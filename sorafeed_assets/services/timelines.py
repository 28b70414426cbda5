"""The timeline service: the one owner of every write to the queues."""

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from psycopg.errors import ForeignKeyViolation
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from sorafeed_assets.domain.errors import (
    InvalidInputError,
    NotFoundError,
    SorafeedError,
    UnavailableError,
)
from sorafeed_assets.domain.timelines import Pick
from sorafeed_assets.services.candidates import CandidateBook
from sorafeed_assets.services.planning import plays_on
from sorafeed_assets.services.publishing import OvertakenError, Target, publish
from sorafeed_assets.services.rebuild import (
    BuildOutcome,
    Outcomes,
    outcome_of,
    read_snapshot,
    rebuild,
    rebuild_from,
)
from sorafeed_assets.storage import timeline_writes as writes
from sorafeed_assets.storage import timelines as stored

_log: Final = logging.getLogger(__name__)

# Displays wait for each other while one transaction builds them: not too many at once.
_CHUNK: Final = 100
_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Advance:
    """A play that is recorded, and where its display stands: the head of its queue."""

    display_id: str
    timeline_video_id: UUID
    video_id: str
    played_at: datetime
    skipped: bool
    loop: int
    position: int
    head_timeline_video_id: UUID | None
    head_video_id: str | None
    queued: int


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

    def repopulate(self, display_ids: Collection[str]) -> Outcomes:
        """Plan displays anew and bring their queues in line; equal plans write nothing.

        An unknown display, or a playlist that cannot be planned, is answered with its error;
        the display stays on its last good build, and all others go on.
        """

        def work(connection: Connection, book: CandidateBook, chunk: Sequence[str]) -> Outcomes:
            return rebuild(connection, book, chunk, self._window)

        return self._in_chunks(display_ids, work)

    def top_up(self, display_ids: Collection[str]) -> Outcomes:
        """Fill short queues from the stored plans; plan where these do not reach far enough."""

        def work(connection: Connection, book: CandidateBook, chunk: Sequence[str]) -> Outcomes:
            return self._top_up(connection, book, chunk)

        return self._in_chunks(display_ids, work)

    def start_fresh(self, display_id: str) -> BuildOutcome:
        """Let every video of a display count as new again. Its plays stay recorded.

        Raises:
            NotFoundError: there is no such display.
            SorafeedError: its playlist cannot be planned; nothing has changed.
        """

        def work(connection: Connection, book: CandidateBook, chunk: Sequence[str]) -> Outcomes:
            stored.lock_displays(connection, chunk)
            for each in chunk:
                writes.start_fresh(connection, each)
            outcomes = rebuild(connection, book, chunk, self._window)
            for outcome in outcomes.values():
                if isinstance(outcome, SorafeedError):
                    raise outcome
            return outcomes

        outcome = self._in_chunks([display_id], work)[display_id]
        if isinstance(outcome, SorafeedError):
            raise outcome
        return outcome

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
            stored.lock_displays(connection, [display_id])
            head = stored.load_head(connection, display_id)
            if head is None:
                raise NotFoundError(f"there is no display {display_id}")
            if head.playlist_id is not None:
                stored.hold_playlists(connection, [head.playlist_id])
            queue = stored.load_queues(connection, [display_id]).get(display_id, [])
            places = {row.id: place for place, row in enumerate(queue)}
            place = places.get(timeline_video_id)
            if place is not None:
                self._move_on(connection, head, queue, place, skipped=skipped, at=at)
            return _answer(connection, display_id, timeline_video_id)

    def _move_on(
        self,
        connection: Connection,
        head: stored.Head,
        queue: Sequence[stored.QueueRow],
        place: int,
        *,
        skipped: bool,
        at: datetime | None,
    ) -> None:
        played, left = queue[place], queue[place + 1 :]
        writes.record_plays(
            connection,
            played.display_id,
            [row.id for row in queue[: place + 1]],
            played.id,
            left[0].id if left else None,
            skipped=skipped,
            played_at=at,
        )
        ahead = head.schedule.ahead(played.loop_iteration, played.timeline_position + 1)
        loop, position = (
            (ahead[0][0], ahead[0][1].position)
            if ahead
            else (played.loop_iteration, played.timeline_position + 1)
        )
        new = _missing_rows(played, left, ahead[: self._window], self._window)
        queued = writes.queue_rows(connection, new)
        writes.set_head(connection, played.display_id, loop, position)
        if loop > head.loop_iteration:
            writes.count_loops(connection, {played.playlist_id: loop - head.loop_iteration})
        if len(ahead) < self._window or queued < len(new):
            self._plan_on(connection, played.display_id)

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

    def _top_up(
        self, connection: Connection, book: CandidateBook, chunk: Sequence[str]
    ) -> Outcomes:
        snapshot = read_snapshot(connection, chunk)
        targets: list[Target] = []
        rest: list[str] = []
        for display_id in chunk:
            build, playlist = snapshot.builds.get(display_id), snapshot.playlists.get(display_id)
            display = snapshot.displays.get(display_id)
            if (
                display is not None
                and build is not None
                and playlist is not None
                and plays_on(build, playlist)
                and _reaches(build, display, self._window)
            ):
                targets.append(_stored_target(display, build))
            else:
                rest.append(display_id)
        published = publish(connection, targets, snapshot.queues, self._window)
        outcomes: Outcomes = {
            target.display.id: outcome_of(target, published[target.display.id])
            for target in targets
        }
        return outcomes | rebuild_from(connection, book, snapshot, rest, self._window)

    def _in_chunks(
        self,
        display_ids: Collection[str],
        work: Callable[[Connection, CandidateBook, Sequence[str]], Outcomes],
    ) -> Outcomes:
        ordered = sorted(set(display_ids))
        outcomes: Outcomes = {}
        book = CandidateBook(self._pool_size)
        for start in range(0, len(ordered), _CHUNK):
            chunk = ordered[start : start + _CHUNK]
            for attempt in range(_ATTEMPTS):
                try:
                    with self._engine.begin() as connection:
                        outcomes |= work(connection, book, chunk)
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


def _was_overtaken(error: OvertakenError | IntegrityError) -> bool:
    """Whether something that a plan needs was deleted meanwhile."""
    return isinstance(error, OvertakenError) or isinstance(error.orig, ForeignKeyViolation)


def _answer(connection: Connection, display_id: str, timeline_video_id: UUID) -> Advance:
    play = stored.load_play(connection, display_id, timeline_video_id)
    if play is None:
        raise NotFoundError(
            f"display {display_id} has no entry {timeline_video_id} in its queue;"
            " read the queue again"
        )
    return Advance(
        display_id,
        play.timeline_video_id,
        play.video_id,
        play.played_at,
        play.was_skipped,
        play.loop_iteration,
        play.timeline_position,
        play.current_timeline_video_id,
        play.current_video_id,
        play.queued,
    )


def _missing_rows(
    played: stored.QueueRow,
    left: Sequence[stored.QueueRow],
    wanted: Sequence[tuple[int, Pick]],
    window: int,
) -> list[writes.NewRow]:
    """The rows that the queue lacks; its head is being shown from now on."""
    there = {(row.loop_iteration, row.timeline_position) for row in left}
    used = {row.queue_slot for row in left}
    free = iter(slot for slot in range(window) if slot not in used)
    return [
        writes.NewRow(
            played.display_id,
            played.build_id,
            played.playlist_id,
            pick.block_id,
            pick.post_id,
            pick.block_position,
            pick.position,
            loop,
            slot,
            "playing" if index == 0 else "queued",
        )
        for index, (loop, pick) in enumerate(wanted)
        if (loop, pick.position) not in there and (slot := next(free, None)) is not None
    ]


def _reaches(build: stored.Build, display: stored.DisplayRow, window: int) -> bool:
    ahead = build.schedule.ahead(display.loop_iteration, display.timeline_position)
    return len(ahead) >= window


def _stored_target(display: stored.DisplayRow, build: stored.Build) -> Target:
    return Target(
        display,
        build.playlist_id,
        build.playlist_version,
        build.schedule.since(display.loop_iteration),
        build.inputs,
        build.content_hash,
        display.loop_iteration,
        display.timeline_position,
        build.id,
        new_playlist=False,
    )
