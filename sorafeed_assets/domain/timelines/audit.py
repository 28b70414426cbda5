"""The audit of a schedule: the rules of a plan, checked independently of the code that plans."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NoReturn

from sorafeed_assets.domain.errors import PlanAuditError
from sorafeed_assets.domain.playlists.playlist import Block, FetchMode
from sorafeed_assets.domain.timelines.plan import LoopInputs, LoopPlan, Schedule, Tier, place_of
from sorafeed_assets.domain.timelines.planners.creator_gap import CREATOR_GAP
from sorafeed_assets.domain.timelines.record import PlanInputs

STAYS: Final = "; the display stays on its last good build; save its playlist again to retry"
"""The consequence of a broken rule, appended to each error."""


def audit_schedule(schedule: Schedule, inputs: PlanInputs) -> None:
    """Check a schedule against the rules and its inputs.

    Raises:
        PlanAuditError: naming the video or loop, counted from 1, and the broken rule.
    """
    if [plan.loop for plan in schedule.loops] != [source.loop for source in inputs.loops]:
        raise PlanAuditError("the plan's loops are not those of its inputs; plan again")
    for plan, source in zip(schedule.loops, inputs.loops, strict=True):
        if plan.picks[: len(source.kept)] != source.kept:
            _refuse(plan, "does not begin with the picks that were kept")
        _audit_places(plan, inputs.blocks)
        _audit_counts(plan, inputs.blocks)
        _audit_tiers(plan, source)
        if inputs.planner == CREATOR_GAP.name:
            _audit_creators(plan, source, inputs.blocks)
    for one, other in pairwise(schedule.loops):
        if other.loop != one.loop + 1:
            _refuse(other, f"does not follow loop {one.loop + 1}")


def _refuse(plan: LoopPlan, problem: str, position: int | None = None) -> NoReturn:
    where = f"loop {plan.loop + 1}" if position is None else place_of(position, plan.loop)
    raise PlanAuditError(f"{where} {problem}{STAYS}")


def _audit_places(plan: LoopPlan, blocks: Sequence[Block]) -> None:
    """Positions and block positions count from 0, and blocks follow their order."""
    order = {block.id: index for index, block in enumerate(blocks)}
    placed = Counter[int]()
    current = 0
    for position, pick in enumerate(plan.picks):
        if pick.position != position:
            _refuse(plan, f"is stored as video {pick.position + 1}", position)
        if pick.tier is Tier.KEPT:
            continue
        index = order.get(pick.block_id)
        if index is None:
            _refuse(plan, f"is of block {pick.block_id}, not of the playlist", position)
        if index < current:
            _refuse(plan, f"is of block {pick.block_id}, which already ended", position)
        if pick.block_position != placed[index]:
            _refuse(plan, f"is out of order in block {pick.block_id}", position)
        placed[index] += 1
        current = index


def _audit_counts(plan: LoopPlan, blocks: Sequence[Block]) -> None:
    counts = Counter(pick.block_id for pick in plan.picks if pick.tier is not Tier.KEPT)
    for block in blocks:
        have, wanted = counts[block.id], block.video_count
        if have > wanted or (have < wanted and block.id not in plan.dry_blocks):
            _refuse(plan, f"has {have} videos of block {block.id}, which wants {wanted}")


def _audit_tiers(plan: LoopPlan, source: LoopInputs) -> None:
    """Each pick is a match, and no video repeats while an unused match is left."""
    matches = {block: list(found.ids) for block, found in source.candidates.items()}
    known = {block: set(ids) for block, ids in matches.items()}
    used = {pick.post_id for pick in source.kept}
    for pick in plan.picks[len(source.kept) :]:
        at = pick.position
        if pick.post_id not in known.get(pick.block_id, ()):
            _refuse(plan, f"is {pick.post_id}, which does not match block {pick.block_id}", at)
        if pick.tier is Tier.NEW:
            if pick.post_id in used or pick.post_id in source.plays:
                _refuse(plan, f"is {pick.post_id}, called new, but it was played or planned", at)
        else:
            if not source.candidates[pick.block_id].complete:
                _refuse(plan, "repeats a video before all matches were read", at)
            _audit_again(plan, pick.position, used, matches[pick.block_id], source)
        used.add(pick.post_id)


def _audit_again(
    plan: LoopPlan, position: int, used: set[str], matches: Sequence[str], source: LoopInputs
) -> None:
    pick = plan.picks[position]
    unused = [post for post in matches if post not in used]
    unplayed = [post for post in unused if post not in source.plays]
    if unplayed:
        _refuse(plan, f"repeats a video while {unplayed[0]} was never played", position)
    if pick.tier is Tier.REPLAY:
        longest_ago = min((source.plays[post] for post in unused), default=None)
        if pick.post_id not in unused or source.plays[pick.post_id] != longest_ago:
            _refuse(plan, "is not the least recently played match", position)
    elif pick.tier is Tier.REPEAT:
        last = {p.post_id: p.position for p in plan.picks[:position]}
        if unused or pick.post_id != min(matches, key=lambda post: last[post]):
            _refuse(plan, "repeats a video that is not the furthest back", position)
    else:
        _refuse(plan, "is kept, but it was not playing", position)


def _audit_creators(plan: LoopPlan, source: LoopInputs, blocks: Sequence[Block]) -> None:
    """In a random block, new videos of one creator follow each other as seldom as possible."""
    creators = [source.creators.get(pick.post_id) for pick in plan.picks]
    for block in blocks:
        places = [
            pick.position
            for pick in plan.picks[len(source.kept) :]
            if pick.block_id == block.id and pick.tier is Tier.NEW
        ]
        if block.fetch_mode is not FetchMode.RANDOM or not places:
            continue
        shown = creators[places[0] - 1] if places[0] else None
        counts = Counter(creators[place] for place in places if creators[place] is not None)
        fewest = max(
            (2 * n - len(places) - 1 + (name == shown) for name, n in counts.items()), default=0
        )
        followed = [
            place
            for place in places
            if place and creators[place] is not None and creators[place] == creators[place - 1]
        ]
        if len(followed) > max(fewest, 0):
            _refuse(
                plan,
                f"follows a video of the same creator, {creators[followed[0]]},"
                f" though block {block.id} has others",
                followed[0],
            )
