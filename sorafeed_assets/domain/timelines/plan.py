"""What plays next: the loops of a display, one after the other.

How one loop is filled is a planner's, see `domain.timelines.planners`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, Protocol
from uuid import UUID

from sorafeed_assets.domain.playlists.playlist import Block

_NONE: Final[Mapping[str, str]] = {}


class Tier(StrEnum):
    """Why a pick was made."""

    NEW = "new"
    """Not played since the display's dedup_since."""
    REPLAY = "replay"
    """Every match was played; this one the least recently."""
    REPEAT = "repeat"
    """The block wants more videos than match; this one is furthest back in the plan."""
    KEPT = "kept"
    """It was chosen by hand, or was playing when an edit removed its position."""


def place_of(position: int, loop: int) -> str:
    """The place of a video in its loop; people count from 1."""
    return f"video {position + 1} of loop {loop + 1}"


@dataclass(frozen=True, slots=True)
class Pick:
    """One position of a loop; ``block_position`` counts within the block, from 0."""

    position: int
    block_id: UUID
    block_position: int
    post_id: str
    tier: Tier


@dataclass(frozen=True, slots=True)
class LoopPlan:
    """The full order of one loop, and its blocks without any match."""

    loop: int
    picks: tuple[Pick, ...]
    dry_blocks: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class Schedule:
    """The current loop, and the next ones that the window reaches into."""

    loops: tuple[LoopPlan, ...]

    def since(self, loop: int) -> "Schedule":
        """The schedule without the loops before ``loop``."""
        return Schedule(tuple(plan for plan in self.loops if plan.loop >= loop))

    def fewest_ahead(self, loop: int, position: int) -> int:
        """The fewest picks ahead of a place with which a plan has as many loops as this one."""
        loops = self.since(loop).loops
        return sum(len(plan.picks) for plan in loops[:-1]) - position + 1

    def ahead(self, loop: int, position: int) -> list[tuple[int, Pick]]:
        """Every (loop, pick) from a position on."""
        return [
            (plan.loop, pick)
            for plan in self.loops
            for pick in plan.picks
            if (plan.loop, pick.position) >= (loop, position)
        ]


@dataclass(frozen=True, slots=True)
class Candidates:
    """A block's matches in play order; ``complete`` when all of them were read."""

    ids: Iterable[str]
    complete: bool


@dataclass(frozen=True, slots=True)
class LoopInputs:
    """The inputs of a loop: only the candidates and plays that planning examined.

    ``creators`` are those of its picks, for a planner that needs them.
    """

    loop: int
    kept: tuple[Pick, ...]
    candidates: Mapping[UUID, Candidates]
    plays: Mapping[str, int]
    creators: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlanResult:
    """A loop's plan; while blocks are ``wanting``, the caller must read more for them."""

    plan: LoopPlan
    wanting: frozenset[UUID]
    inputs: LoopInputs


@dataclass(frozen=True, slots=True)
class Start:
    """The start of planning: the loop, the head's position in it, and the picks that stay."""

    loop: int = 0
    position: int = 0
    kept: tuple[Pick, ...] = ()


@dataclass(frozen=True, slots=True)
class ScheduleResult:
    """A schedule, its head, its inputs, and the blocks that need more candidates first.

    ``looked_at`` has the inputs of every planned loop, including loops that are not in
    the schedule: plays of other posts do not affect the result.
    """

    schedule: Schedule
    loop: int
    position: int
    wanting: frozenset[UUID]
    inputs: tuple[LoopInputs, ...]
    looked_at: tuple[LoopInputs, ...]


class Planner(Protocol):
    """The rules that fill a loop; a stored plan names the planner that made it."""

    @property
    def name(self) -> str:
        """What stored plans call it."""

    @property
    def needs_creators(self) -> bool:
        """Whether the caller must read the creators of the picks, and plan again with them."""

    def plan_loop(
        self,
        blocks: Sequence[Block],
        candidates: Mapping[UUID, Candidates],
        plays: Mapping[str, int],
        loop: int,
        kept: Sequence[Pick] = (),
        creators: Mapping[str, str] = _NONE,
    ) -> PlanResult:
        """Fill the blocks in order, after the picks that are ``kept``.

        Args:
            blocks: in block order.
            candidates: by block id.
            plays: when each post was last played since dedup_since, as any ascending number.
            loop: which pass through the playlist this is.
            kept: the first picks of the loop. Blocks before that of the last one are finished.
            creators: the creators of posts, as far as they are known.
        """


def plan_schedule(
    blocks: Sequence[Block],
    candidates_for: Callable[[Block, int], Candidates],
    plays: Mapping[str, int],
    latest_play: int,
    start: Start,
    window: int,
    planner: Planner,
    creators: Mapping[str, str] = _NONE,
) -> ScheduleResult:
    """Plan the loop of ``start``, and the next ones until ``window`` picks lie ahead.

    When no pick of that loop is ahead, the next loop becomes the current one. The remaining
    picks of a loop count as plays, in their order, for the loops after it.

    Args:
        blocks: in block order.
        candidates_for: the candidates of a block in a loop.
        plays: when posts were last played since dedup_since; at least the examined ones.
        latest_play: when any post was last played since dedup_since, 0 for never.
        start: where planning begins.
        window: how many picks have to be ahead.
        planner: what fills each loop.
        creators: the creators of posts, for a planner that needs them.
    """
    looked_at: list[LoopInputs] = []

    def plan(loop: int, kept: tuple[Pick, ...]) -> PlanResult:
        sources = {block.id: candidates_for(block, loop) for block in blocks}
        result = planner.plan_loop(blocks, sources, played, loop, kept, creators)
        looked_at.append(result.inputs)
        return result

    played = dict(plays)
    loop, position = start.loop, start.position
    results = [plan(loop, start.kept)]
    wanting = set(results[0].wanting)
    if results[0].plan.picks and position >= len(results[0].plan.picks):
        loop, position = loop + 1, 0
        results = [plan(loop, ())]
        wanting |= results[0].wanting
    remaining = results[0].plan.picks[position:]
    ahead = len(remaining)
    while remaining and ahead < window:
        later = max(latest_play, max(played.values(), default=0)) + 1
        played.update({pick.post_id: later + turn for turn, pick in enumerate(remaining)})
        following = plan(results[-1].plan.loop + 1, ())
        wanting |= following.wanting
        remaining = following.plan.picks
        ahead += len(remaining)
        if remaining:
            results.append(following)
    return ScheduleResult(
        Schedule(tuple(result.plan for result in results)),
        loop,
        min(position, len(results[0].plan.picks)),
        frozenset(wanting),
        tuple(result.inputs for result in results),
        tuple(looked_at),
    )


def keep_played(
    stored: LoopPlan,
    before: Sequence[Block],
    now: Sequence[Block],
    position: int,
    *,
    playing: bool,
    kept: int = 0,
) -> Start:
    """The picks of the current loop that stay when the same playlist is planned again.

    All picks before the head stay, and the head too while it is playing, unless a block before
    it changed: then the picks before that block stay, and the playing video follows them. Picks
    that the plan kept stay too: after a step back, some of them are ahead of the head.

    Args:
        stored: the loop as it was planned.
        before: the blocks it was planned from.
        now: the blocks as they are.
        position: the head's position in the loop.
        playing: whether the head is being shown.
        kept: how many picks the stored plan kept.
    """
    position = min(position, len(stored.picks))
    shown = position + 1 if playing and position < len(stored.picks) else position
    unchanged = _unchanged_picks(stored, before, now)
    if shown <= unchanged:
        return Start(stored.loop, position, stored.picks[: min(max(shown, kept), unchanged)])
    staying = list(stored.picks[:unchanged])
    if shown > position:
        head = stored.picks[position]
        staying.append(replace(head, position=unchanged, tier=Tier.KEPT))
    return Start(stored.loop, unchanged, tuple(staying))


def _unchanged_picks(stored: LoopPlan, before: Sequence[Block], now: Sequence[Block]) -> int:
    """How many picks precede the first block that changed."""
    same = 0
    while same < min(len(before), len(now)) and _plays_same(before[same], now[same]):
        same += 1
    if same == len(before) == len(now):
        return len(stored.picks)
    unchanged = {block.id for block in before[:same]}
    for pick in stored.picks:
        if pick.tier is not Tier.KEPT and pick.block_id not in unchanged:
            return pick.position
    return len(stored.picks)


def _plays_same(one: Block, other: Block) -> bool:
    return replace(one, block_order=0) == replace(other, block_order=0)
