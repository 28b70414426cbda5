"""The plan audit applied to what the old system picks."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from sorafeed_assets.domain.errors import PlanAuditError
from sorafeed_assets.domain.playlists.playlist import Block
from sorafeed_assets.domain.shadow.old_way import OldPick
from sorafeed_assets.domain.timelines.audit import STAYS, audit_schedule
from sorafeed_assets.domain.timelines.plan import (
    Candidates,
    LoopInputs,
    LoopPlan,
    Pick,
    Schedule,
    Tier,
)
from sorafeed_assets.domain.timelines.record import PlanInputs


def audit_old(
    picks: Sequence[OldPick],
    blocks: Sequence[Block],
    known: Mapping[UUID, Sequence[str]],
    plays: Mapping[str, int],
    played: Collection[str],
) -> str | None:
    """The first rule of a plan that the picks of one loop break; None when they keep all.

    Args:
        picks: what the old system plays, block by block.
        blocks: the playlist.
        known: matches of each block that our planner has read.
        plays: when the examined posts were last played, as any ascending number.
        played: every post that was played.
    """
    times = {**dict.fromkeys(played, 0), **plays}
    counts: dict[UUID, int] = {}
    used: set[str] = set()
    placed: list[Pick] = []
    for position, pick in enumerate(picks):
        tier = Tier.REPEAT if pick.post_id in used else Tier.NEW
        if tier is Tier.NEW and pick.post_id in times:
            tier = Tier.REPLAY
        place = counts.get(pick.block_id, 0)
        placed.append(Pick(position, pick.block_id, place, pick.post_id, tier))
        counts[pick.block_id] = place + 1
        used.add(pick.post_id)
    matches = {
        block.id: Candidates(
            tuple(
                dict.fromkeys(
                    [
                        *known.get(block.id, ()),
                        *(pick.post_id for pick in picks if pick.block_id == block.id),
                    ]
                )
            ),
            complete=True,
        )
        for block in blocks
    }
    dry = tuple(block.id for block in blocks if not counts.get(block.id))
    schedule = Schedule((LoopPlan(0, tuple(placed), dry),))
    inputs = PlanInputs("", tuple(blocks), (LoopInputs(0, (), matches, times),))
    try:
        audit_schedule(schedule, inputs)
    except PlanAuditError as error:
        return str(error).removesuffix(STAYS)
    return None
