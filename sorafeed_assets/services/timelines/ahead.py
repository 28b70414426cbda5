"""What a display plays next while nothing changes: its queue, its plan, the loops after it.

Players play by this while they reach no server.
"""

from collections import Counter
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Engine

from sorafeed_assets.domain.errors import DisplayNotFoundError
from sorafeed_assets.services.flags import Flags
from sorafeed_assets.services.timelines.candidate_book import CandidateBook
from sorafeed_assets.services.timelines.driving import must_drive
from sorafeed_assets.services.timelines.rebuild import plan_on
from sorafeed_assets.storage.postgres.engine import snapshot
from sorafeed_assets.storage.timelines.playback import playback_state
from sorafeed_assets.storage.timelines.reads import load_builds, load_displays, load_queues


@dataclass(frozen=True, slots=True)
class NextPick:
    """A position that a display will play; ``entry`` is its row, where it is queued already."""

    entry: UUID | None
    loop: int
    position: int
    block_id: UUID
    video_id: str


@dataclass(frozen=True, slots=True)
class Ahead:
    """The next positions of a display; after the last one it repeats from ``round`` on."""

    display_id: str
    build_id: int | None
    state: str
    picks: tuple[NextPick, ...]
    round: int


def ahead_of(engine: Engine, display_id: str, most: int, *, pool_size: int, flags: Flags) -> Ahead:
    """The next ``most`` positions of a display, by the stored plan, then by its planner.

    It repeats the last whole loop, if there is one.

    Raises:
        DisplayNotFoundError: there is no such display.
        NotDrivenError: the old system drives it.
    """
    with snapshot(engine) as connection:
        display = load_displays(connection, [display_id]).get(display_id)
        if display is None:
            raise DisplayNotFoundError(display_id)
        values = flags.at(connection)
        must_drive(values, display_id)
        build = load_builds(connection, [display_id]).get(display_id)
        queue = load_queues(connection, [display_id]).get(display_id, [])
        state = playback_state(connection, display_id)
        loops = () if build is None else build.schedule.since(display.loop_iteration).loops
        planned = sum(len(plan.picks) for plan in loops) - display.timeline_position
        if loops and planned < most:
            schedule = plan_on(connection, CandidateBook(pool_size), display_id, most, values)
            loops += schedule.since(loops[-1].loop + 1).loops
    entries = {(row.loop_iteration, row.timeline_position): row.id for row in queue}
    place = (display.loop_iteration, display.timeline_position)
    picks = [
        NextPick(
            entries.get((plan.loop, pick.position)),
            plan.loop,
            pick.position,
            pick.block_id,
            pick.post_id,
        )
        for plan in loops
        for pick in plan.picks
        if (plan.loop, pick.position) >= place
    ]
    del picks[max(most, len(queue)) :]
    reached = Counter(pick.loop for pick in picks)
    whole = [plan.loop for plan in loops if reached[plan.loop] == len(plan.picks) > 0]
    loops_again = (number for number, pick in enumerate(picks) if pick.loop == whole[-1])
    return Ahead(
        display_id,
        None if build is None else build.id,
        state or "playing",
        tuple(picks),
        next(loops_again) if whole else 0,
    )
