"""A plan can be restored completely from its stored form."""

import json

from hypothesis import given

from sorafeed_assets.domain.playlists.playlist import Block
from sorafeed_assets.domain.timelines.record import (
    content_hash,
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
    playlists,
    plays,
    schedule_of,
)


@given(playlists, catalogues, plays)
def test_a_plan_can_be_made_again_from_what_is_stored(
    blocks: list[Block], catalogue: Catalogue, played: dict[str, int]
) -> None:
    result, inputs = schedule_of(blocks, catalogue, played)
    stored = json.loads(json.dumps(inputs_to_json(inputs)))
    assert replan(inputs_from_json(stored)) == content_hash(result.schedule, "version")
    plan = json.loads(json.dumps(schedule_to_json(result.schedule)))
    assert schedule_from_json(plan) == result.schedule


def test_inputs_hold_only_what_was_looked_at() -> None:
    catalogue = {"cats": [f"c{number}" for number in range(500)]}
    played = dict.fromkeys([*catalogue["cats"][:3], "x", "y"], 1)
    _, inputs = schedule_of([block(0, "cats", 5)], catalogue, played)
    (source,) = inputs.loops[0].candidates.values()
    assert list(source.ids) == catalogue["cats"][:8]
    assert inputs.loops[0].plays.keys() == {"c0", "c1", "c2"}


def test_the_hash_is_of_the_schedule_and_the_version() -> None:
    one = schedule_of([block(0, "cats", 1)], {"cats": ["a"]}, {})[0].schedule
    other = schedule_of([block(0, "cats", 1)], {"cats": ["b"]}, {})[0].schedule
    hashes = {content_hash(one, "v"), content_hash(one, "w"), content_hash(other, "v")}
    assert len(hashes) == 3
