"""A plan can be restored completely from its stored form."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorafeed_assets.domain.playlists.playlist import Block
from sorafeed_assets.domain.timelines.audit import audit_schedule
from sorafeed_assets.domain.timelines.plan import Planner, Start, Tier
from sorafeed_assets.domain.timelines.planners.creator_gap import CREATOR_GAP
from sorafeed_assets.domain.timelines.planners.in_order import IN_ORDER
from sorafeed_assets.domain.timelines.record import (
    content_hash,
    deciding,
    inputs_from_json,
    inputs_to_json,
    replan,
    schedule_from_json,
    schedule_to_json,
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


@pytest.mark.parametrize("planner", [IN_ORDER, CREATOR_GAP])
@given(
    blocks=mixed_playlists,
    catalogue=catalogues,
    played=plays,
    by=creators,
    window=st.integers(1, 20),
    position=st.integers(0, 12),
)
def test_a_plan_can_be_made_again_from_what_is_stored(
    planner: Planner,
    blocks: list[Block],
    catalogue: Catalogue,
    played: dict[str, int],
    by: dict[str, str],
    window: int,
    position: int,
) -> None:
    first, _ = schedule_of(blocks, catalogue, played, planner=planner, creators=by)
    kept = first.schedule.loops[0].picks[:position]
    result, inputs = schedule_of(
        blocks, catalogue, played, Start(0, len(kept), kept), window, planner, by
    )
    smaller = deciding(result.schedule, inputs)
    stored = json.loads(json.dumps(inputs_to_json(smaller)))
    again = inputs_from_json(stored, planner.name)
    assert replan(again) == replan(inputs) == content_hash(result.schedule, "version")
    audit_schedule(result.schedule, again)
    plan = json.loads(json.dumps(schedule_to_json(result.schedule)))
    assert schedule_from_json(plan) == result.schedule


def test_the_inputs_are_what_was_looked_at_and_those_that_decide_are_stored() -> None:
    catalogue = {"cats": [f"c{number}" for number in range(500)]}
    played = dict.fromkeys([*catalogue["cats"][:3], "x", "y"], 1)
    result, inputs = schedule_of([block(0, "cats", 5)], catalogue, played)
    (source,) = inputs.loops[0].candidates.values()
    assert list(source.ids) == catalogue["cats"][:8]
    assert inputs.loops[0].plays.keys() == {"c0", "c1", "c2"}
    (source,) = deciding(result.schedule, inputs).loops[0].candidates.values()
    assert list(source.ids) == catalogue["cats"][3:8]


@pytest.mark.parametrize("wanted", [1, 9, 30])
def test_what_is_stored_is_as_large_as_the_plan_whatever_was_played(wanted: int) -> None:
    posts = [f"c{number}" for number in range(2_000)]
    played = {post: number for number, post in enumerate(posts)}
    blocks = [block(0, "cats", wanted), block(1, "dogs", wanted)]
    result, inputs = schedule_of(blocks, {"cats": posts, "dogs": ["d"]}, played)
    assert {pick.tier for pick in result.schedule.loops[0].picks} >= {Tier.REPLAY, Tier.NEW}
    (loop, *_) = deciding(result.schedule, inputs).loops
    assert sum(len(tuple(found.ids)) for found in loop.candidates.values()) == wanted + 1
    assert len(loop.plays) == wanted


def test_the_hash_is_of_the_schedule_and_the_version() -> None:
    one = schedule_of([block(0, "cats", 1)], {"cats": ["a"]}, {})[0].schedule
    other = schedule_of([block(0, "cats", 1)], {"cats": ["b"]}, {})[0].schedule
    hashes = {content_hash(one, "v"), content_hash(one, "w"), content_hash(other, "v")}
    assert len(hashes) == 3
