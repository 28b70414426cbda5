"""The audit finds every planted fault."""

from dataclasses import replace

import pytest

from sorafeed_assets.domain.errors import PlanAuditError
from sorafeed_assets.domain.timelines.audit import audit_schedule
from sorafeed_assets.domain.timelines.plan import LoopPlan, Pick, Schedule, Start, Tier
from sorafeed_assets_tests.domain.plans import block, schedule_of

BLOCKS = [block(0, "cats", 2), block(1, "dogs", 4)]
CATALOGUE = {"cats": ["c1", "c2", "c3"], "dogs": ["d1", "d2", "d3"]}
RESULT, INPUTS = schedule_of(BLOCKS, CATALOGUE, {"d1": 5, "d2": 3, "d3": 4})
LOOP, NEXT = RESULT.schedule.loops[0], schedule_of(BLOCKS, CATALOGUE, {})[0].schedule


def with_pick(place: int, **changes: object) -> LoopPlan:
    picks = list(LOOP.picks)
    picks[place] = replace(picks[place], **changes)  # type: ignore[arg-type]  # as named
    return replace(LOOP, picks=tuple(picks))


def moved(*order: int) -> LoopPlan:
    picks = [replace(LOOP.picks[old], position=new) for new, old in enumerate(order)]
    return replace(LOOP, picks=tuple(picks))


@pytest.mark.parametrize(
    ("plan", "problem"),
    [
        (with_pick(1, position=5), "video 2 of loop 1 is stored as video 6"),
        (with_pick(1, block_position=0), "out of order in block"),
        (with_pick(1, block_id=block(8, "x", 1).id), "not of the playlist"),
        (moved(2, 0, 1, 3, 4, 5), "which already ended"),
        (replace(LOOP, picks=LOOP.picks[:5]), "has 3 videos of block"),
        (with_pick(0, post_id="d1"), "does not match block"),
        (with_pick(1, post_id="c1"), "was played or planned"),
        (with_pick(2, tier=Tier.NEW), "was played or planned"),
        (with_pick(2, post_id="d1"), "not the least recently played"),
        (with_pick(5, post_id="d3"), "not the furthest back"),
        (with_pick(5, tier=Tier.REPLAY), "not the least recently played"),
        (with_pick(0, tier=Tier.REPLAY), "while c1 was never played"),
    ],
)
def test_a_broken_plan_is_refused(plan: LoopPlan, problem: str) -> None:
    audit_schedule(RESULT.schedule, INPUTS)
    with pytest.raises(PlanAuditError, match=problem):
        audit_schedule(Schedule((plan,)), INPUTS)


def test_an_avoidable_repeat_is_refused() -> None:
    blocks = [block(0, "dogs", 4)]
    result, inputs = schedule_of(blocks, {"dogs": ["d1", "d2", "d3"]}, {"d1": 1})
    picks = list(result.schedule.loops[0].picks)
    picks[1] = replace(picks[1], post_id="d1", tier=Tier.REPLAY)
    broken = Schedule((replace(result.schedule.loops[0], picks=tuple(picks)),))
    with pytest.raises(PlanAuditError, match="while d3 was never played"):
        audit_schedule(broken, replace(inputs, loops=inputs.loops[:1]))


def test_kept_picks_must_be_there() -> None:
    kept = (Pick(0, BLOCKS[0].id, 1, "c9", Tier.KEPT),)
    result, inputs = schedule_of(BLOCKS, CATALOGUE, {}, Start(0, 0, kept))
    audit_schedule(result.schedule, inputs)
    with pytest.raises(PlanAuditError, match="does not begin with the picks that were kept"):
        audit_schedule(NEXT, inputs)


def test_loops_must_be_those_planned() -> None:
    with pytest.raises(PlanAuditError, match="not those of its inputs"):
        audit_schedule(Schedule((replace(LOOP, loop=1),)), INPUTS)
