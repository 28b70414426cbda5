"""Advancing displays: plays are recorded, heads move, queues are topped up from the stored plan."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from sorafeed_assets.domain.errors import NotFoundError
from sorafeed_assets.storage.timelines.advance import (
    Head,
    LeavingRow,
    Move,
    PlannedRow,
    PlayedTimeline,
    PlayRow,
    QueuedRow,
    advance,
    load_plays,
)
from sorafeed_assets.storage.timelines.writes import NewRow

_PLAYING: Final = "playing"
_QUEUED: Final = ("queued", _PLAYING)


@dataclass(frozen=True, slots=True)
class Play:
    """A video that a display has shown; without ``at`` it was played now."""

    display_id: str
    timeline_video_id: UUID
    skipped: bool = False
    at: datetime | None = None


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


class Walk:
    """The advance of one display through its queue by the stored plan, before it is written.

    Args:
        head: the display's position; its ``ahead`` reaches to the end of the queue and a window
            beyond.
        window: how many positions are queued ahead.
    """

    def __init__(self, head: Head, window: int) -> None:
        self.head = head
        self.leaving: list[LeavingRow] = []
        self.new: list[NewRow] = []
        self._window = window
        self._queue = list(head.queue)
        self._place = (head.loop_iteration, head.timeline_position)

    @property
    def queued(self) -> int:
        """How many videos are queued."""
        return len(self._queue) + len(self.new)

    @property
    def is_short(self) -> bool:
        """Whether the plan has too few picks for the queue."""
        return self.queued < self._window

    @property
    def has_head(self) -> bool:
        """Whether the head is a stored row."""
        return bool(self._queue)

    def has(self, entry: UUID) -> bool:
        """Whether a row is in the queue."""
        wanted = str(entry)
        return any(row.id == wanted for row in self._queue)

    def after(self, play: Play) -> "Walk":
        """The walk with one more play, whose row is in the queue.

        Rows before it leave the queue too, as skipped plays if they were being shown.
        """
        place = [row.id for row in self._queue].index(str(play.timeline_video_id))
        gone, left = self._queue[: place + 1], self._queue[place + 1 :]
        played = gone[-1]
        after = Walk(self.head, self._window)
        after.leaving = self.leaving + [
            LeavingRow(
                row.id,
                len(self.leaving) + turn,
                row is played or row.status == _PLAYING,
                play.skipped or row is not played,
                play.at,
            )
            for turn, row in enumerate(gone)
        ]
        start = (played.loop_iteration, played.timeline_position + 1)
        ahead = [row for row in self.head.ahead if row[:2] >= start][: self._window]
        after._place = ahead[0][:2] if ahead else start
        after.new = [*self.new, *self._missing(left, ahead)]
        after._queue = [row._replace(status=_PLAYING) for row in left[:1]] + left[1:]
        return after

    def _missing(self, left: Sequence[QueuedRow], wanted: Sequence[PlannedRow]) -> list[NewRow]:
        """The rows that the queue lacks after its head; without a head, planning comes first."""
        head = self.head
        if not left or head.build_id is None or head.playlist_id is None:
            return []
        rows: list[QueuedRow | NewRow] = [*left, *self.new]
        there = {(row.loop_iteration, row.timeline_position) for row in rows}
        used = {row.queue_slot for row in rows}
        missing = [row for row in wanted if row[:2] not in there]
        free = [slot for slot in range(self._window) if slot not in used]
        return [
            NewRow(
                head.display_id,
                head.build_id,
                head.playlist_id,
                row.block_id,
                row.video_id,
                row.block_position,
                row.timeline_position,
                row.loop_iteration,
                slot,
            )
            for row, slot in zip(missing, free, strict=False)
        ]

    def move(self) -> Move | None:
        """The change of the display; None when nothing was played."""
        playlist_id = self.head.playlist_id
        if not self.leaving or playlist_id is None:
            return None
        first = self._queue[0] if self._queue else None
        loop, position = self._place
        return Move(
            self.head.display_id,
            playlist_id,
            loop,
            position,
            loop - self.head.loop_iteration,
            first.id if first else None,
            first.video_id if first else None,
            first.block_id if first else None,
        )

    def snapshot(self, queued: Sequence[QueuedRow]) -> PlayedTimeline:
        """The display's snapshot after this walk, with the rows that were ``queued`` by it."""
        videos = [row for row in (*self._queue, *queued) if row.status in _QUEUED]
        head = self.head
        return PlayedTimeline(head.display_id, head.build_id, *self._place, head.cached, videos)

    def answer(self, play: PlayRow) -> Advance:
        """The answer to a recorded play: the display's position after this walk."""
        first = self._queue[0] if self._queue else None
        return Advance(
            self.head.display_id,
            play.timeline_video_id,
            play.video_id,
            play.played_at,
            play.was_skipped,
            *self._place,
            UUID(first.id) if first else None,
            first.video_id if first else None,
            self.queued,
        )


class Written(NamedTuple):
    """What became of walks: the plays by queue row, and the rows that were queued by display.

    The queues of the displays ``short`` are too short now.
    """

    plays: Mapping[UUID, PlayRow] = {}
    queued: Mapping[str, Sequence[QueuedRow]] = {}
    short: Collection[str] = ()


def write_walks(connection: Connection, walks: Sequence[Walk]) -> Written:
    """Record the plays of walks and move their displays."""
    moves = [move for walk in walks if (move := walk.move()) is not None]
    if not moves:
        return Written()
    moments, queued = advance(
        connection,
        moves,
        [row for walk in walks for row in walk.leaving],
        [row for walk in walks for row in walk.new],
    )
    # The plan may still have a post that was deleted.
    short = {
        walk.head.display_id
        for walk in walks
        if walk.leaving
        and (walk.is_short or len(queued.get(walk.head.display_id, ())) < len(walk.new))
    }
    plays: dict[UUID, PlayRow] = {}
    for walk in walks:
        videos = {row.id: row.video_id for row in walk.head.queue}
        for row in walk.leaving:
            entry = UUID(row.id)
            if entry in moments:
                plays[entry] = PlayRow(
                    entry, walk.head.display_id, videos[row.id], moments[entry], row.was_skipped
                )
    return Written(plays, queued, short)


def walk_all(
    heads: Mapping[str, Head], plays: Sequence[Play], window: int, *, plans: bool = False
) -> tuple[dict[int, Walk], list[Walk]]:
    """Advance each display through its plays, as far as its plan and its stored rows reach.

    Returns the walk after each play, by the play's number, and the whole walk of each display.
    Plays that are missing need a row that is not stored yet, or a plan; where the caller ``plans``
    the first of these is not missing.
    """
    after: dict[int, Walk] = {}
    walks: dict[str, Walk] = {}
    stopped: set[str] = set()
    for number, play in enumerate(plays):
        head = heads.get(play.display_id)
        if head is None or play.display_id in stopped:
            continue
        walk = walks.get(play.display_id) or Walk(head, window)
        if walk.has(play.timeline_video_id):
            further = walk.after(play)
            if further.is_short or not further.has_head:
                stopped.add(play.display_id)
                if not plans:
                    continue
            walk = further
        after[number] = walks[play.display_id] = walk
    return after, list(walks.values())


def answer_all(
    connection: Connection,
    plays: Sequence[Play],
    after: Mapping[int, Walk],
    recorded: Mapping[UUID, PlayRow],
) -> dict[int, Advance | NotFoundError]:
    """The answers to plays, each after its walk; plays not in ``recorded`` may be earlier ones."""
    entries = [
        (plays[number].display_id, plays[number].timeline_video_id)
        for number in after
        if plays[number].timeline_video_id not in recorded
    ]
    before = load_plays(connection, entries)
    answered: dict[int, Advance | NotFoundError] = {}
    for number, walk in after.items():
        play = plays[number]
        row = recorded.get(play.timeline_video_id)
        if row is None or row.display_id != play.display_id:
            row = before.get((play.display_id, play.timeline_video_id))
        answered[number] = no_entry(play) if row is None else walk.answer(row)
    return answered


def no_entry(play: Play) -> NotFoundError:
    """The error about a row that is neither queued nor played."""
    return NotFoundError(
        f"display {play.display_id} has no entry {play.timeline_video_id} in its queue;"
        " read the queue again"
    )
