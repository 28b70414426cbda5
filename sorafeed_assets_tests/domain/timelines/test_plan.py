"""The rules of a plan, as properties over small catalogues, and what an edit keeps."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorafeed_assets.domain.playlists.playlist import Block
from sorafeed_assets.domain.timelines.audit import audit_schedule
from sorafeed_assets.domain.timelines.plan import (
    Candidates,
    LoopPlan,
    Schedule,
    Start,
    Tier,
    keep_played,
    plan_schedule,
)
from sorafeed_assets.domain.timelines.planners.in_order import IN_ORDER
from sorafeed_assets.domain.timelines.record import PlanInputs, content_hash, inputs_to_json
from sorafeed_assets_tests.domain.plans import (
    POSTS,
    TERMS,
    Catalogue,
    block,
    catalogues,
    playlists,
    plays,
    schedule_of,
)


def posts_of(plan: LoopPlan) -> list[str]:
    return [pick.post_id for pick in plan.picks]


@given(playlists, catalogues, plays, st.integers(1, 12))
def test_every_schedule_passes_the_audit(
    blocks: list[Block], catalogue: Catalogue, played: dict[str, int], window: int
) -> None:
    result, inputs = schedule_of(blocks, catalogue, played, window=window)
    audit_schedule(result.schedule, inputs)
    again, _ = schedule_of(blocks, catalogue, dict(reversed(played.items())), window=window)
    assert content_hash(again.schedule, "v") == content_hash(result.schedule, "v")
    ahead = result.schedule.ahead(0, 0)
    assert len(ahead) >= window or not result.schedule.loops[0].picks
    assert not result.wanting


@given(playlists, catalogues, plays, st.integers(0, 4), st.integers(1, 6))
def test_changing_a_block_leaves_the_picks_before_it_alone(
    blocks: list[Block], catalogue: Catalogue, played: dict[str, int], at: int, count: int
) -> None:
    at %= len(blocks)
    changed = [*blocks]
    changed[at] = replace(blocks[at], search_term="birds", video_count=count)
    earlier = {block.id for block in blocks[:at]}
    one, other = (
        schedule_of(version, catalogue, played)[0].schedule.loops[0]
        for version in (blocks, changed)
    )
    assert [p for p in one.picks if p.block_id in earlier] == [
        p for p in other.picks if p.block_id in earlier
    ]


@given(playlists, catalogues, plays)
def test_the_blocks_without_a_match_are_dry(
    blocks: list[Block], catalogue: Catalogue, played: dict[str, int]
) -> None:
    plan = schedule_of(blocks, catalogue, played)[0].schedule.loops[0]
    assert set(plan.dry_blocks) == {b.id for b in blocks if not catalogue[b.search_term]}
    assert {p.block_id for p in plan.picks}.isdisjoint(plan.dry_blocks)


@given(st.integers(1, 9), st.integers(1, 20), st.integers(1, 6))
def test_a_video_comes_again_only_after_every_other_match(
    matches: int, count: int, loops: int
) -> None:
    blocks, catalogue = [block(0, "cats", count)], {"cats": POSTS[:matches]}
    shown: list[str] = []
    for loop in range(loops):
        played = {post: place for place, post in enumerate(shown)}
        plan = schedule_of(blocks, catalogue, played, Start(loop))[0].schedule.loops[0]
        shown += posts_of(plan)
    assert len(shown) == count * loops
    for place in range(len(shown)):
        stretch = shown[place : place + matches]
        assert len(set(stretch)) == len(stretch)


@given(playlists, catalogues, plays, st.integers(0, 30))
def test_planned_ahead_or_later_a_loop_is_the_same(
    blocks: list[Block], catalogue: Catalogue, played: dict[str, int], shown: int
) -> None:
    long, _ = schedule_of(blocks, catalogue, played, window=40)
    first = long.schedule.loops[0]
    shown = min(shown, len(first.picks))
    since = {p.post_id: 100 + p.position for p in first.picks[:shown]}
    start = Start(0, shown, first.picks[:shown])
    later, _ = schedule_of(blocks, catalogue, {**played, **since}, start, window=40 - shown)
    assert later.schedule == long.schedule.since(later.loop)


@given(playlists, catalogues, plays, st.integers(1, 3))
def test_reading_more_only_when_wanted_changes_nothing(
    blocks: list[Block], catalogue: Catalogue, played: dict[str, int], page: int
) -> None:
    read = dict.fromkeys(TERMS, page)
    while True:
        sources = {
            b.id: Candidates(
                tuple(catalogue[b.search_term][: read[b.search_term]]),
                complete=read[b.search_term] > len(catalogue[b.search_term]),
            )
            for b in blocks
        }
        result = IN_ORDER.plan_loop(blocks, sources, played, 0)
        if not result.wanting:
            break
        for wanting in blocks:
            if wanting.id in result.wanting:
                read[wanting.search_term] += page
    assert result.plan == schedule_of(blocks, catalogue, played)[0].schedule.loops[0]


def test_the_tiers() -> None:
    blocks = [block(0, "cats", 5)]
    played = {"a": 2, "b": 1}
    plan = schedule_of(blocks, {"cats": ["a", "b", "c"]}, played)[0].schedule.loops[0]
    assert [(p.post_id, p.tier) for p in plan.picks] == [
        ("c", Tier.NEW),
        ("b", Tier.REPLAY),
        ("a", Tier.REPLAY),
        ("c", Tier.REPEAT),
        ("b", Tier.REPEAT),
    ]


A, B, C = block(0, "cats", 2), block(1, "dogs", 2), block(2, "birds", 2)
CATALOGUE = {term: [f"{term}{number}" for number in range(8)] for term in [*TERMS, "fish"]}
LOOP = schedule_of([A, B, C], CATALOGUE, {})[0].schedule.loops[0]
FISH = replace(B, search_term="fish")


@pytest.mark.parametrize(
    ("now", "position", "playing", "kept"),
    [
        # nothing changed: what was shown stays
        ([A, B, C], 3, True, ["cats0", "cats1", "dogs0", "dogs1"]),
        ([A, B, C], 3, False, ["cats0", "cats1", "dogs0"]),
        ([A, B, C], 0, False, []),
        # a change behind the head
        ([A, FISH, C], 1, True, ["cats0", "cats1"]),
        ([A, FISH, C], 2, False, ["cats0", "cats1"]),
        ([A, B, C, block(3, "fish", 2)], 4, True, ["cats0", "cats1", "dogs0", "dogs1", "birds0"]),
        ([A, replace(B, block_order=7), C], 3, False, ["cats0", "cats1", "dogs0"]),
        # a change at or before the head: the playing video follows the picks that stay
        ([A, FISH, C], 2, True, ["cats0", "cats1", "dogs0!"]),
        ([A, FISH, C], 5, True, ["cats0", "cats1", "birds1!"]),
        ([A, FISH, C], 5, False, ["cats0", "cats1"]),
        ([B, C], 1, True, ["cats1!"]),
        ([B, A, C], 4, False, []),
    ],
)
def test_what_an_edit_keeps(
    *, now: list[Block], position: int, playing: bool, kept: list[str]
) -> None:
    start = keep_played(LOOP, [A, B, C], now, position, playing=playing)
    assert [p.post_id + "!" * (p.tier is Tier.KEPT) for p in start.kept] == kept
    result, inputs = schedule_of(now, CATALOGUE, {}, start)
    audit_schedule(result.schedule, inputs)
    plan = result.schedule.loops[0]
    assert plan.picks[: len(start.kept)] == start.kept
    if playing:
        assert plan.picks[start.position].post_id == LOOP.picks[position].post_id


def test_a_second_edit_keeps_the_kept_video() -> None:
    start = keep_played(LOOP, [A, B, C], [A, FISH, C], 3, playing=True)
    once = schedule_of([A, FISH, C], CATALOGUE, {}, start)[0].schedule.loops[0]
    bird = replace(FISH, search_term="birds")
    again = keep_played(once, [A, FISH, C], [A, bird, C], start.position, playing=True)
    assert again == start


def test_when_nothing_is_left_of_a_loop_the_next_one_begins() -> None:
    start = keep_played(LOOP, [A, B, C], [A, B], 5, playing=False)
    result, _ = schedule_of([A, B], CATALOGUE, {}, start)
    assert (result.loop, result.position) == (1, 0)
    assert [plan.loop for plan in result.schedule.loops] == [1, 2]


def test_a_block_that_was_over_waits_for_the_next_loop() -> None:
    """It was dry in its turn, so its matches would now play out of the blocks' order."""
    dry = {**CATALOGUE, "cats": []}
    plan = schedule_of([A, B, C], dry, {})[0].schedule.loops[0]
    start = keep_played(plan, [A, B, C], [A, B, C], 1, playing=True)
    result, inputs = schedule_of([A, B, C], CATALOGUE, {}, start)
    audit_schedule(result.schedule, inputs)
    first, second = result.schedule.loops
    assert first.dry_blocks == (A.id,)
    assert posts_of(second)[0] == "cats0"


def test_ahead_runs_through_the_loops() -> None:
    result, _ = schedule_of([A], CATALOGUE, {}, window=3)
    assert [(loop, p.position) for loop, p in result.schedule.ahead(0, 1)] == [
        (0, 1),
        (1, 0),
        (1, 1),
    ]
    assert Schedule(()).ahead(0, 0) == []


def test_every_loop_that_was_planned_is_told() -> None:
    result, _ = schedule_of(
        [block(0, "cats", 2), block(1, "none", 1)],
        {"cats": ["a", "b", "c"]},
        {},
        Start(loop=3, position=2),
        window=1,
    )
    assert [loop.loop for loop in result.inputs] == [4]
    assert [loop.loop for loop in result.looked_at] == [3, 4]
    ended, _ = schedule_of([block(0, "cats", 1)], {"cats": ["a"]}, {}, window=3)
    assert [loop.loop for loop in ended.looked_at] == [loop.loop for loop in ended.inputs]


@given(playlists, catalogues, plays, st.integers(0, 9))
def test_plays_of_other_posts_make_no_difference(
    blocks: list[Block], catalogue: Catalogue, played: dict[str, int], position: int
) -> None:
    start = Start(position=position)
    result, inputs = schedule_of(blocks, catalogue, played, start)
    seen = {p for loop in result.looked_at for c in loop.candidates.values() for p in c.ids}
    again = plan_schedule(
        blocks,
        lambda block, _: Candidates(catalogue.get(block.search_term, ()), complete=True),
        {post: at for post, at in played.items() if post in seen},
        max(played.values(), default=0),
        start,
        5,
        IN_ORDER,
    )
    assert again.schedule == result.schedule
    assert inputs_to_json(PlanInputs("version", tuple(blocks), again.inputs)) == inputs_to_json(
        inputs
    )
