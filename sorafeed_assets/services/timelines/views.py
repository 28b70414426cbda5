"""What a display plays now, next and later, and why: for people."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Engine

from sorafeed_assets.domain.errors import DisplayNotFoundError
from sorafeed_assets.domain.timelines.plan import Pick
from sorafeed_assets.storage.timelines.reads import (
    Build,
    DisplayRow,
    QueueRow,
    load_builds,
    load_displays,
    load_queues,
)


@dataclass(frozen=True, slots=True)
class ViewedPick:
    """One position of a plan, for people: ``tier`` is the reason it was picked."""

    loop: int
    position: int
    video_id: str
    block_id: UUID
    search_term: str
    tier: str
    status: str


def viewed(loop: int, pick: Pick, terms: Mapping[UUID, str], status: str) -> ViewedPick:
    """A pick for people; ``terms`` are the searches of the blocks that still exist."""
    term = terms.get(pick.block_id, "(a removed block)")
    return ViewedPick(loop, pick.position, pick.post_id, pick.block_id, term, pick.tier, status)


@dataclass(frozen=True, slots=True)
class TimelineView:
    """What a display plays: now, next in its queue, then by its plan."""

    display_id: str
    playlist_id: UUID | None
    build_id: int | None
    loop: int
    position: int
    now: ViewedPick | None
    next: tuple[ViewedPick, ...]
    planned: tuple[ViewedPick, ...]
    dry_blocks: Mapping[UUID, str]

    @property
    def ahead(self) -> tuple[ViewedPick, ...]:
        """All of the plan from what is on screen on."""
        return (*((self.now,) if self.now else ()), *self.next, *self.planned)


def timeline_view(engine: Engine, display_id: str) -> TimelineView:
    """What a display plays now, next and later, and why.

    Raises:
        NotFoundError: there is no such display.
    """
    found = timeline_views(engine, [display_id]).get(display_id)
    if found is None:
        raise DisplayNotFoundError(display_id)
    return found


def timeline_views(engine: Engine, display_ids: Collection[str]) -> dict[str, TimelineView]:
    """What displays play now, next and later, and why; unknown displays are missing."""
    with engine.connect() as connection:
        displays = load_displays(connection, display_ids)
        builds = load_builds(connection, display_ids)
        queues = load_queues(connection, display_ids)
    return {
        display_id: view_of(display, builds.get(display_id), queues.get(display_id, []))
        for display_id, display in displays.items()
    }


def view_of(display: DisplayRow, build: Build | None, queue: Sequence[QueueRow]) -> TimelineView:
    """What a display plays now, next and later, by its build and its queue."""
    loop, position = display.loop_iteration, display.timeline_position
    if build is None:
        return TimelineView(display.id, None, None, loop, position, None, (), (), {})
    terms = {block.id: block.search_term for block in build.inputs.blocks}
    status = {(row.loop_iteration, row.timeline_position): row.status for row in queue}
    picks = [
        viewed(at, pick, terms, status.get((at, pick.position), "planned"))
        for at, pick in build.schedule.ahead(loop, position)
    ]
    now = picks[0] if picks and picks[0].status == "playing" else None
    later = picks[1:] if now else picks
    current = build.schedule.since(loop).loops
    dry = current[0].dry_blocks if current else ()
    return TimelineView(
        display.id,
        build.playlist_id,
        build.id,
        loop,
        position,
        now,
        tuple(pick for pick in later if pick.status != "planned"),
        tuple(pick for pick in later if pick.status == "planned"),
        {block_id: terms[block_id] for block_id in dry},
    )
