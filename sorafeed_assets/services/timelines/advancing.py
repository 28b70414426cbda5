"""One display going on: the play is recorded, the head moves, the queue is topped up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from sorafeed_assets.domain.errors import DisplayNotFoundError, NotFoundError
from sorafeed_assets.domain.timelines.plan import Pick
from sorafeed_assets.domain.timelines.record import picks_ahead
from sorafeed_assets.storage.postgres.locks import LockSpace, lock
from sorafeed_assets.storage.timelines.advance import Head, Move, advance, load_head, load_play
from sorafeed_assets.storage.timelines.reads import QueueRow
from sorafeed_assets.storage.timelines.writes import NewRow


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


def move_on(
    connection: Connection,
    display_id: str,
    timeline_video_id: UUID,
    window: int,
    *,
    skipped: bool,
    at: datetime | None,
) -> tuple[Advance, bool]:
    """Advance by the stored plan alone; also whether the queue now needs more than it has.

    Raises:
        NotFoundError: the display, or the row in its queue, does not exist.
    """
    lock(connection, LockSpace.DISPLAY, [display_id])
    head = load_head(connection, display_id)
    if head is None:
        raise DisplayNotFoundError(display_id)
    places = {row.id: place for place, row in enumerate(head.queue)}
    place = places.get(timeline_video_id)
    if place is None:
        return answer_again(connection, display_id, timeline_video_id), False
    played, left = head.queue[place], head.queue[place + 1 :]
    loop, position = played.loop_iteration, played.timeline_position + 1
    ahead = [] if head.plan is None else picks_ahead(head.plan, loop, position, window)
    if ahead:
        loop, position = ahead[0][0], ahead[0][1].position
    new = _missing_rows(played, left, ahead, window)
    played_at, queued = advance(
        connection, _move(head, place, loop, position, new, skipped=skipped, at=at)
    )
    if played_at is None:
        raise _no_entry(display_id, timeline_video_id)
    answer = Advance(
        display_id,
        played.id,
        played.video_id,
        played_at,
        skipped,
        loop,
        position,
        left[0].id if left else None,
        left[0].video_id if left else None,
        len(left) + queued,
    )
    return answer, answer.queued < window


def answer_again(connection: Connection, display_id: str, timeline_video_id: UUID) -> Advance:
    """The answer about a play that is recorded already.

    Raises:
        NotFoundError: there is no such play.
    """
    play = load_play(connection, display_id, timeline_video_id)
    if play is None:
        raise _no_entry(display_id, timeline_video_id)
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


def _no_entry(display_id: str, timeline_video_id: UUID) -> NotFoundError:
    return NotFoundError(
        f"display {display_id} has no entry {timeline_video_id} in its queue; read the queue again"
    )


def _move(
    head: Head,
    place: int,
    loop: int,
    position: int,
    new: Sequence[NewRow],
    *,
    skipped: bool,
    at: datetime | None,
) -> Move:
    played, left = head.queue[place], head.queue[place + 1 :]
    return Move(
        played.display_id,
        played.playlist_id,
        [row.id for row in head.queue[: place + 1]],
        played.id,
        at,
        skipped,
        loop,
        position,
        loop - head.loop_iteration,
        left[0] if left else None,
        new,
    )


def _missing_rows(
    played: QueueRow, left: Sequence[QueueRow], wanted: Sequence[tuple[int, Pick]], window: int
) -> list[NewRow]:
    """The rows that the queue lacks behind its head; without a head it is planned first."""
    if not left:
        return []
    there = {(row.loop_iteration, row.timeline_position) for row in left}
    used = {row.queue_slot for row in left}
    missing = [(loop, pick) for loop, pick in wanted if (loop, pick.position) not in there]
    free = [slot for slot in range(window) if slot not in used]
    return [
        NewRow(
            played.display_id,
            played.build_id,
            played.playlist_id,
            pick.block_id,
            pick.post_id,
            pick.block_position,
            pick.position,
            loop,
            slot,
        )
        for (loop, pick), slot in zip(missing, free, strict=False)
    ]
