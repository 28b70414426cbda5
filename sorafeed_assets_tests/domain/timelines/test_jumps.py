"""Where a display goes on after a jump: what its loop keeps, and what follows."""

from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from sorafeed_assets.domain.playlists.playlist import Block
from sorafeed_assets.domain.timelines.audit import audit_schedule
from sorafeed_assets.domain.timelines.jumps import Shown, jump_back, jump_to
from sorafeed_assets.domain.timelines.plan import Pick, Tier, keep_played
from sorafeed_assets_tests.domain.plans import (
    Catalogue,
    block,
    catalogues,
    playlists,
    plays,
    schedule_of,
)

CATS = [f"cat{number}" for number in range(6)]
BLOCKS = [block(0, "cats", 4)]
LOOP = schedule_of(BLOCKS, {"cats": CATS}, {})[0].schedule.loops[0]


def test_back_and_back_again_and_then_all_of_it_once_more() -> None:
    once = jump_back(0, LOOP.picks, 2, 3, [])
    assert once is not None
    assert (once.position, once.kept) == (1, LOOP.picks[:3])
    twice = jump_back(0, LOOP.picks, once.position, len(once.kept), [])
    assert twice is not None
    assert (twice.position, twice.kept) == (0, LOOP.picks[:3])
    assert jump_back(0, LOOP.picks, 0, 3, []) is None
    # They were played, and follow again all the same.
    played = dict.fromkeys(CATS[:3], 1)
    again = schedule_of(BLOCKS, {"cats": CATS}, played, twice)[0].schedule.loops[0]
    assert again == LOOP


def test_what_a_step_back_keeps_stays_when_the_loop_is_planned_again() -> None:
    start = keep_played(LOOP, BLOCKS, BLOCKS, 0, playing=True, kept=3)
    assert (start.position, start.kept) == (0, LOOP.picks[:3])
    longer = [block(0, "cats", 6)]
    assert keep_played(LOOP, BLOCKS, longer, 0, playing=False, kept=3).kept == ()


def test_before_the_first_video_of_a_loop_come_those_of_the_loop_before() -> None:
    earlier = [Shown(post, uuid4()) for post in ("dog0", "dog1")]
    start = jump_back(3, LOOP.picks, 0, 1, earlier)
    assert start is not None
    assert start.position == 1
    assert [pick.post_id for pick in start.kept] == ["dog0", "dog1", "cat0"]
    result, inputs = schedule_of(BLOCKS, {"cats": CATS}, dict.fromkeys(["cat0"], 1), start)
    audit_schedule(result.schedule, inputs)
    plan = result.schedule.loops[0]
    assert [pick.post_id for pick in plan.picks[2:]] == [pick.post_id for pick in LOOP.picks]
    # The jump that added them goes back no further than they reach.
    assert jump_back(3, plan.picks, 0, 3, earlier) is None


def test_what_a_step_back_brings_again_comes_after_a_chosen_video_too() -> None:
    chosen = Pick(0, BLOCKS[0].id, 0, "cat5", Tier.NEW)
    start = jump_to(0, LOOP.picks, 1, 3, chosen)
    assert start.position == 1
    assert [pick.post_id for pick in start.kept] == ["cat0", "cat5", "cat1", "cat2"]
    result, inputs = schedule_of(BLOCKS, {"cats": CATS}, dict.fromkeys(CATS[:3], 1), start)
    audit_schedule(result.schedule, inputs)
    plan = result.schedule.loops[0]
    assert [pick.post_id for pick in plan.picks[4:]] == ["cat3"]
    # To one of those that come again, the display goes forward.
    assert jump_to(0, LOOP.picks, 1, 3, LOOP.picks[2]).position == 2
    assert jump_to(0, LOOP.picks, 1, 3, LOOP.picks[2]).kept == LOOP.picks[:3]


@given(playlists, catalogues, plays, st.data())
def test_a_chosen_video_comes_in_and_nothing_else_is_lost(
    blocks: list[Block], catalogue: Catalogue, played: dict[str, int], data: st.DataObject
) -> None:
    before, _ = schedule_of(blocks, catalogue, played)
    picks = before.schedule.loops[0].picks
    if not picks:
        return
    place = data.draw(st.integers(0, len(picks) - 1))
    chosen: Pick = data.draw(st.sampled_from(picks[place:]))
    start = jump_to(0, picks, place, place, chosen)
    since = {pick.post_id: 100 + pick.position for pick in picks[:place]}
    result, inputs = schedule_of(blocks, catalogue, {**played, **since}, start)
    audit_schedule(result.schedule, inputs)
    after = result.schedule.loops[0].picks
    assert after[:place] == picks[:place]
    assert (after[place].post_id, after[place].tier) == (chosen.post_id, Tier.KEPT)
    ahead = {pick.post_id for pick in picks[place:]} - {chosen.post_id}
    assert ahead <= {pick.post_id for pick in after[place + 1 :]}
    again = [pick for pick in after[place + 1 :] if pick.post_id == chosen.post_id]
    assert {pick.tier for pick in again} <= {Tier.REPEAT}
