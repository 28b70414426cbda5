"""Planners: frozen by golden plans, and the rules of `creator_gap`."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorafeed_assets.domain.errors import PlanAuditError, SorafeedError
from sorafeed_assets.domain.flags.known import KNOWN, PLANNER
from sorafeed_assets.domain.playlists.playlist import Block, FetchMode
from sorafeed_assets.domain.timelines.audit import audit_schedule
from sorafeed_assets.domain.timelines.plan import LoopPlan, Schedule, Start, Tier
from sorafeed_assets.domain.timelines.planners import PLANNERS, planner_named
from sorafeed_assets.domain.timelines.planners.creator_gap import CREATOR_GAP
from sorafeed_assets.domain.timelines.planners.in_order import IN_ORDER
from sorafeed_assets.domain.timelines.record import (
    content_hash,
    inputs_from_json,
    inputs_to_json,
    replan,
)
from sorafeed_assets_tests.domain.plans import (
    Catalogue,
    block,
    catalogues,
    creators,
    mixed_playlists,
    plays,
    schedule_of,
)
from sorafeed_assets_tests.domain.timelines.golden_plans import golden_file, made_again


@pytest.mark.parametrize("name", PLANNERS)
def test_stored_plans_are_made_again_byte_for_byte(name: str) -> None:
    assert made_again(name) == golden_file(name).read_text("utf-8")


def test_the_flag_knows_every_planner() -> None:
    assert KNOWN[PLANNER].values == tuple(PLANNERS)
    assert KNOWN[PLANNER].default == IN_ORDER.name
    with pytest.raises(SorafeedError, match="which has in_order, creator_gap"):
        planner_named("best")


@given(mixed_playlists, catalogues, plays, creators)
def test_creator_gap_picks_the_same_videos_for_the_same_blocks(
    blocks: list[Block], catalogue: Catalogue, played: dict[str, int], by: dict[str, str]
) -> None:
    plain = schedule_of(blocks, catalogue, played, window=1)[0].schedule.loops[0]
    apart, inputs = schedule_of(
        blocks, catalogue, played, window=1, planner=CREATOR_GAP, creators=by
    )
    audit_schedule(apart.schedule, inputs)
    loop = apart.schedule.loops[0]
    assert _new_by_block(loop) == _new_by_block(plain)
    assert [(p.block_id, p.tier) for p in loop.picks] == [(p.block_id, p.tier) for p in plain.picks]
    newest = {each.id for each in blocks if each.fetch_mode is FetchMode.NEWEST}
    for ours, theirs in zip(loop.picks, plain.picks, strict=True):
        if ours.block_id in newest and ours.tier is Tier.NEW:
            assert ours.post_id == theirs.post_id


def _new_by_block(plan: LoopPlan) -> Counter[tuple[object, str]]:
    return Counter((p.block_id, p.post_id) for p in plan.picks if p.tier is Tier.NEW)


@given(
    st.lists(st.sampled_from(["ann", "bob", "cy", None]), min_size=1, max_size=6),
    st.sampled_from(["ann", "bob", None]),
)
def test_a_creator_follows_itself_only_where_no_order_avoids_it(
    by: list[str | None], shown: str | None
) -> None:
    posts = [f"p{number}" for number in range(len(by))]
    creators = {
        post: name for post, name in zip(["first", *posts], [shown, *by], strict=True) if name
    }
    blocks = [block(0, "one", 1), block(1, "many", len(posts), FetchMode.RANDOM)]
    catalogue = {"one": ["first"], "many": posts}
    result, inputs = schedule_of(
        blocks, catalogue, {}, window=1, planner=CREATOR_GAP, creators=creators
    )
    audit_schedule(result.schedule, inputs)

    def followed(order: tuple[str, ...]) -> int:
        names = [creators.get(post, post) for post in ("first", *order)]
        return sum(one == other for one, other in pairwise(names))

    planned = tuple(pick.post_id for pick in result.schedule.loops[0].picks[1:])
    assert followed(planned) == min(map(followed, permutations(posts)))


@given(mixed_playlists, catalogues, plays, creators, st.integers(0, 30))
def test_planned_ahead_or_later_a_loop_is_the_same(
    blocks: list[Block],
    catalogue: Catalogue,
    played: dict[str, int],
    by: dict[str, str],
    shown: int,
) -> None:
    long, _ = schedule_of(blocks, catalogue, played, window=40, planner=CREATOR_GAP, creators=by)
    first = long.schedule.loops[0]
    shown = min(shown, len(first.picks))
    since = {p.post_id: 100 + p.position for p in first.picks[:shown]}
    later, _ = schedule_of(
        blocks,
        catalogue,
        {**played, **since},
        Start(0, shown, first.picks[:shown]),
        window=40 - shown,
        planner=CREATOR_GAP,
        creators=by,
    )
    assert later.schedule == long.schedule.since(later.loop)


@given(mixed_playlists, catalogues, plays, creators)
def test_a_plan_with_creators_is_made_again_from_what_is_stored(
    blocks: list[Block], catalogue: Catalogue, played: dict[str, int], by: dict[str, str]
) -> None:
    result, inputs = schedule_of(
        blocks, catalogue, played, planner=CREATOR_GAP, creators={**by, "other": "dan"}
    )
    stored = inputs_from_json(inputs_to_json(inputs), CREATOR_GAP.name)
    assert replan(stored) == content_hash(result.schedule, "version")
    picked = {pick.post_id for plan in result.schedule.loops for pick in plan.picks}
    assert {post for loop in inputs.loops for post in loop.creators} == picked & by.keys()


def test_videos_of_one_creator_are_spread() -> None:
    posts = ["a1", "a2", "a3", "b1", "c1", "d1", "e1"]
    blocks = [block(0, "cats", 7, FetchMode.RANDOM)]
    by = {post: post[0] for post in posts}
    result, _ = schedule_of(blocks, {"cats": posts}, {}, window=1, planner=CREATOR_GAP, creators=by)
    planned = [pick.post_id for pick in result.schedule.loops[0].picks]
    assert planned == ["a1", "b1", "c1", "d1", "a2", "e1", "a3"]


def test_the_audit_refuses_a_creator_that_follows_itself() -> None:
    blocks = [block(0, "cats", 4, FetchMode.RANDOM)]
    posts = ["a1", "b1", "a2", "b2"]
    by = {post: post[0] for post in posts}
    result, inputs = schedule_of(
        blocks, {"cats": posts}, {}, window=1, planner=CREATOR_GAP, creators=by
    )
    (loop,) = result.schedule.loops
    swapped = [loop.picks[at].post_id for at in (0, 2, 1, 3)]
    picks = tuple(
        replace(pick, post_id=post) for pick, post in zip(loop.picks, swapped, strict=True)
    )
    wrong = Schedule((replace(loop, picks=picks),))
    with pytest.raises(
        PlanAuditError, match="video 2 of loop 1 follows a video of the same creator, a"
    ):
        audit_schedule(wrong, inputs)
    audit_schedule(wrong, replace(inputs, planner=IN_ORDER.name))
