"""Making queues follow plans: rows are kept, deleted, moved and added, set-wise."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import Connection

from sorafeed_assets.domain.errors import SorafeedError
from sorafeed_assets.domain.timelines.plan import Pick, Schedule
from sorafeed_assets.domain.timelines.record import PlanInputs
from sorafeed_assets.storage.timelines import writes
from sorafeed_assets.storage.timelines.reads import DisplayRow, QueueRow, hold_playlists


class OvertakenError(SorafeedError):
    """A post or playlist was deleted between planning and queueing: roll back, plan again."""


@dataclass(frozen=True, slots=True)
class TargetTimeline:
    """The timeline to publish for a display; without a ``build_id`` its plan is new."""

    display: DisplayRow
    playlist_id: UUID
    playlist_version: str
    schedule: Schedule
    inputs: PlanInputs
    content_hash: str
    loop: int
    position: int
    build_id: int | None
    new_playlist: bool


@dataclass(frozen=True, slots=True)
class Published:
    """The published timeline of a display, and whether anything was written."""

    build_id: int
    queued: int
    changed: bool


@dataclass(slots=True)
class _Rows:
    """The changes of queue rows."""

    gone: list[UUID] = field(default_factory=list)
    moved: list[writes.MovedRow] = field(default_factory=list)
    new: list[writes.NewRow] = field(default_factory=list)


def publish(
    connection: Connection,
    targets: Sequence[TargetTimeline],
    queues: Mapping[str, Sequence[QueueRow]],
    window: int,
) -> dict[str, Published]:
    """Store the new plans and make each queue the first ``window`` positions from its head.

    Raises:
        OvertakenError: nothing of the transaction may be committed.
    """
    build_ids = writes.store_builds(connection, [_build(t) for t in targets if t.build_id is None])
    rows, states = _Rows(), list[writes.DisplayState]()
    published: dict[str, Published] = {}
    for target in targets:
        display_id = target.display.id
        build_id = build_ids[display_id] if target.build_id is None else target.build_id
        queue = queues.get(display_id, [])
        head, queued, changed = _arrange(rows, target, build_id, queue, window)
        if not _is_at(target, build_id, head):
            changed = True
        if changed:
            states.append(
                writes.DisplayState(
                    display_id,
                    build_id,
                    target.playlist_id,
                    target.position,
                    target.loop,
                    target.new_playlist,
                )
            )
        published[display_id] = Published(build_id, queued, changed)
    playing = {state.playlist_id for state in states if state.playlist_id is not None}
    if playing and hold_playlists(connection, playing) != playing:
        raise OvertakenError("a playlist was deleted while it was planned; try again")
    writes.delete_rows(connection, rows.gone)
    writes.move_rows(connection, rows.moved)
    if writes.queue_rows(connection, rows.new) < len(rows.new):
        raise OvertakenError("posts were deleted while they were being queued; try again")
    writes.set_displays(connection, states)
    writes.count_loops(connection, _finished_loops(targets))
    return published


def _build(target: TargetTimeline) -> writes.NewBuild:
    return writes.NewBuild(
        target.display.id,
        target.playlist_id,
        target.playlist_version,
        target.loop,
        target.schedule,
        target.inputs,
        target.content_hash,
    )


def _is_at(target: TargetTimeline, build_id: int, head: UUID | None) -> bool:
    display = target.display
    return (
        display.active_build_id,
        display.current_playlist_id,
        display.loop_iteration,
        display.timeline_position,
        display.current_timeline_video_id,
    ) == (build_id, target.playlist_id, target.loop, target.position, head)


def _finished_loops(targets: Sequence[TargetTimeline]) -> dict[UUID, int]:
    return {
        target.playlist_id: target.loop - target.display.loop_iteration
        for target in targets
        if not target.new_playlist and target.loop > target.display.loop_iteration
    }


def _arrange(
    rows: _Rows, target: TargetTimeline, build_id: int, queue: Sequence[QueueRow], window: int
) -> tuple[UUID | None, int, bool]:
    """Add one display's changes to ``rows``; returns (id of a kept head, length, if changed)."""
    wanted = target.schedule.ahead(target.loop, target.position)[:window]
    staying = _staying(target, queue, wanted)
    used = {row.queue_slot for row in staying if row is not None and row.queue_slot < window}
    free = iter(slot for slot in range(window) if slot not in used)
    stays = {row.id for row in staying if row is not None}
    gone = [row.id for row in queue if row.id not in stays]
    rows.gone += gone
    changed = bool(gone)
    for (loop, pick), row in zip(wanted, staying, strict=True):
        if row is None:
            changed = True
            rows.new.append(_new_row(target, build_id, loop, pick, next(free)))
            continue
        slot = row.queue_slot if row.queue_slot < window else next(free)
        place = (build_id, slot, loop, pick.position)
        if place != (row.build_id, row.queue_slot, row.loop_iteration, row.timeline_position):
            changed = True
            rows.moved.append(writes.MovedRow(row.id, *place))
    head = staying[0] if staying else None
    return head.id if head else None, len(wanted), changed


def _staying(
    target: TargetTimeline, queue: Sequence[QueueRow], wanted: Sequence[tuple[int, Pick]]
) -> list[QueueRow | None]:
    """For each wanted place the row that already fills it; a playing one may have moved there."""
    at_place = {(row.loop_iteration, row.timeline_position): row for row in queue}
    old_head = (target.display.loop_iteration, target.display.timeline_position)

    def find(index: int, loop: int, pick: Pick) -> QueueRow | None:
        playing = at_place.get(old_head) if index == 0 else None
        if playing is not None and playing.status == "playing":
            row: QueueRow | None = playing
        else:
            row = at_place.get((loop, pick.position))
            if row is not None and row.status != "queued":
                return None
        return row if row is not None and _fills(row, target, pick) else None

    return [find(index, loop, pick) for index, (loop, pick) in enumerate(wanted)]


def _fills(row: QueueRow, target: TargetTimeline, pick: Pick) -> bool:
    return (
        not target.new_playlist
        and row.playlist_id == target.playlist_id
        and (row.block_id, row.block_position, row.video_id)
        == (pick.block_id, pick.block_position, pick.post_id)
    )


def _new_row(
    target: TargetTimeline, build_id: int, loop: int, pick: Pick, slot: int
) -> writes.NewRow:
    return writes.NewRow(
        target.display.id,
        build_id,
        target.playlist_id,
        pick.block_id,
        pick.post_id,
        pick.block_position,
        pick.position,
        loop,
        slot,
    )


def clear(
    connection: Connection,
    displays: Sequence[DisplayRow],
    queues: Mapping[str, Sequence[QueueRow]],
) -> Iterator[tuple[str, bool]]:
    """Empty the queues of displays without an active playlist; yields (display id, if changed)."""
    rows = [row.id for display in displays for row in queues.get(display.id, [])]
    changed = [
        display
        for display in displays
        if queues.get(display.id)
        or (display.active_build_id, display.current_playlist_id) != (None, None)
        or (display.loop_iteration, display.timeline_position) != (0, 0)
    ]
    writes.delete_rows(connection, rows)
    writes.set_displays(
        connection, [writes.DisplayState(display.id, None, None, 0, 0) for display in changed]
    )
    written = {display.id for display in changed}
    return ((display.id, display.id in written) for display in displays)
