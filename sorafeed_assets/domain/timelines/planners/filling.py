"""Filling a loop block by block: the part that the planners `in_order` and `creator_gap` share.

Frozen: stored plans are made again by it. Another rule needs a planner of another name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from sorafeed_assets.domain.playlists.playlist import Block
from sorafeed_assets.domain.timelines.plan import (
    Candidates,
    LoopInputs,
    LoopPlan,
    Pick,
    PlanResult,
    Tier,
)

Arrange = Callable[[Block, Sequence[str], Sequence[str]], Sequence[str]]
"""Puts the new videos of a block in an order, after the posts that precede the block."""


@dataclass(slots=True)
class _Filling:
    """A loop while it is filled; ``last`` has each post's last position."""

    plays: Mapping[str, int]
    picks: list[Pick]
    last: dict[str, int]
    dry: list[UUID] = field(default_factory=list)
    wanting: set[UUID] = field(default_factory=set)
    considered: dict[UUID, Candidates] = field(default_factory=dict)
    arrange: Arrange | None = None

    def add(self, block: Block, block_position: int, post_id: str, tier: Tier) -> None:
        self.last[post_id] = len(self.picks)
        self.picks.append(Pick(len(self.picks), block.id, block_position, post_id, tier))

    def order_since(self, first: int, block: Block) -> None:
        """Put the picks of a block since a position in the planner's order."""
        if self.arrange is None:
            return
        posts = [pick.post_id for pick in self.picks]
        ordered = self.arrange(block, posts[first:], posts[:first])
        for pick, post in zip(self.picks[first:], ordered, strict=True):
            self.picks[pick.position] = replace(pick, post_id=post)
            self.last[post] = pick.position


def fill_loop(
    blocks: Sequence[Block],
    candidates: Mapping[UUID, Candidates],
    plays: Mapping[str, int],
    loop: int,
    kept: Sequence[Pick],
    arrange: Arrange | None = None,
) -> PlanResult:
    """Fill a loop, see `Planner.plan_loop`.

    The new videos of a block are taken in the candidates' order, and put in that of ``arrange``.
    """
    order = {block.id: index for index, block in enumerate(blocks)}
    counts = dict.fromkeys(order, 0)
    current = 0
    for pick in kept:
        if pick.tier is not Tier.KEPT:
            counts[pick.block_id] += 1
            current = max(current, order[pick.block_id])
    filling = _Filling(
        plays,
        list(kept),
        {pick.post_id: pick.position for pick in kept},
        arrange=arrange,
    )
    for index, block in enumerate(blocks):
        have = counts[block.id]
        if have >= block.video_count:
            continue
        if index < current:
            filling.dry.append(block.id)
        else:
            _fill(filling, block, have, candidates[block.id])
    seen = {post for source in filling.considered.values() for post in source.ids}
    inputs = LoopInputs(
        loop,
        tuple(kept),
        filling.considered,
        {post: plays[post] for post in sorted(seen & plays.keys())},
    )
    plan = LoopPlan(loop, tuple(filling.picks), tuple(filling.dry))
    return PlanResult(plan, frozenset(filling.wanting), inputs)


def _fill(filling: _Filling, block: Block, have: int, source: Candidates) -> None:
    plays, last, read = filling.plays, filling.last, list[str]()
    first = len(filling.picks)
    filling.considered[block.id] = Candidates(read, source.complete)
    for post in source.ids:
        read.append(post)
        if post not in last and post not in plays:
            filling.add(block, have, post, Tier.NEW)
            have += 1
            if have == block.video_count:
                filling.order_since(first, block)
                return
    filling.order_since(first, block)
    if not source.complete:
        filling.wanting.add(block.id)
    elif not read:
        filling.dry.append(block.id)
    else:
        _fill_again(filling, block, have, read)


def _fill_again(filling: _Filling, block: Block, have: int, matches: Sequence[str]) -> None:
    """Fill a block whose every match was played or is in the plan."""
    missing = block.video_count - have
    waiting = [post for post in matches if post not in filling.last]
    # Stable: posts played at the same moment stay in play order.
    waiting.sort(key=filling.plays.__getitem__)
    for post in waiting[:missing]:
        filling.add(block, have, post, Tier.REPLAY)
        have += 1
    if have == block.video_count:
        return
    # A used video goes to the end of the queue, so the order repeats.
    line = sorted(matches, key=filling.last.__getitem__)
    for turn in range(block.video_count - have):
        filling.add(block, have + turn, line[turn % len(line)], Tier.REPEAT)
