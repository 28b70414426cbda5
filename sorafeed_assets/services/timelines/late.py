"""Plays that a player reports after it was without the server, in the order of their showing.

A play whose position is still queued moves the display, like one that is reported at once. Where
the display has changed or moved meanwhile, the play is recorded, and the display stays where it is.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection

from sorafeed_assets.services.signing import PlannedPick
from sorafeed_assets.services.timelines.advancing import Play, Walk
from sorafeed_assets.storage.timelines.advance import Head, PlayRow
from sorafeed_assets.storage.timelines.late_plays import (
    ToldRow,
    UnqueuedPlay,
    add_plays,
    name_rows,
)


@dataclass(frozen=True, slots=True)
class LatePlay:
    """A play with its time, and the position of the plan that was shown, with its receipt."""

    play: Play
    pick: PlannedPick
    receipt: str

    @property
    def entry(self) -> UUID:
        """The id of the play: the queue row's, or the player's own."""
        return self.play.timeline_video_id


@dataclass(frozen=True, slots=True)
class LateWalk:
    """The walk after the first ``decided`` of some plays; of these, ``unqueued`` do not move it."""

    walk: Walk
    unqueued: tuple[LatePlay, ...]
    decided: int


def walk_late(
    head: Head, plays: Sequence[LatePlay], recorded: Collection[UUID], window: int
) -> LateWalk:
    """Advance a display through late plays, as far as its stored rows reach.

    A play that is not found after a move is left for the next walk, because its row is queued by
    this one; so is one that leaves no row behind it.
    """
    walk = Walk(head, window)
    unqueued: list[LatePlay] = []
    for number, late in enumerate(plays):
        if late.entry in recorded:
            continue
        if head.playlist_id is not None and walk.has(late.entry):
            further = walk.after(late.play)
            is_last = further.is_short or not further.has_head
            if is_last and walk.leaving:
                return LateWalk(walk, tuple(unqueued), number)
            walk = further
            if is_last:
                return LateWalk(walk, tuple(unqueued), number + 1)
        elif walk.leaving:
            return LateWalk(walk, tuple(unqueued), number)
        else:
            unqueued.append(late)
    return LateWalk(walk, tuple(unqueued), len(plays))


def name_queued(connection: Connection, display_id: str, plays: Sequence[LatePlay]) -> bool:
    """Give the queue rows of plays their ids, so that a repeat of a play finds it recorded."""
    rows = [
        ToldRow(
            number,
            late.entry,
            late.pick.block_id,
            late.pick.video_id,
            late.pick.loop,
            late.pick.position,
        )
        for number, late in enumerate(plays)
    ]
    return name_rows(connection, display_id, rows) > 0


def record_unqueued(
    connection: Connection, display_id: str, plays: Sequence[LatePlay]
) -> dict[UUID, PlayRow]:
    """Record plays that do not move the display."""
    rows = [
        UnqueuedPlay(
            late.entry,
            late.pick.block_id,
            late.pick.video_id,
            late.pick.loop,
            late.play.skipped,
            late.play.at,
        )
        for late in plays
    ]
    added = add_plays(connection, display_id, rows) if rows else []
    return {row.timeline_video_id: row for row in added}
