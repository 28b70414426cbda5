"""A simulated wall: the same for the same seed, in whatever groups, and true to the rules."""

import json
import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.playlists.playlist import FetchMode, playlist_version
from sorafeed_assets.domain.simulation import wall
from sorafeed_assets.domain.simulation.catalogue import (
    Catalogue,
    Rates,
    post_id,
    post_number,
    zipf_shares,
)
from sorafeed_assets.domain.simulation.display import Display, Played
from sorafeed_assets.domain.simulation.needs import needs_of
from sorafeed_assets.domain.simulation.tally import Tally, total
from sorafeed_assets.domain.simulation.wall import WallPlan, draw_playlist, simulate_wall
from sorafeed_assets.domain.timelines.audit import audit_schedule
from sorafeed_assets.domain.timelines.plan import Tier
from sorafeed_assets.domain.timelines.record import (
    PlanInputs,
    deciding,
    inputs_to_json,
    schedule_to_json,
)

_RATES = st.builds(
    Rates,
    posts=st.sampled_from([0.0, 20_000.0, 400_000.0]),
    deletes=st.sampled_from([0.0, 20_000.0]),
    edits=st.sampled_from([0.0, 200.0]),
)
_PLANS = st.builds(
    WallPlan,
    displays=st.integers(1, 3),
    hours=st.sampled_from([0.01, 0.05]),
    posts=st.sampled_from([30, 3_000]),
    terms=st.sampled_from([1, 25]),
    rates=_RATES,
    window=st.integers(3, 10),
    pool_size=st.sampled_from([5, 500]),
    seed=st.integers(0, 99),
)


class _Clock:
    """A clock that moves by a second each time."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        self._now += 1.0
        return self._now


def test_plans_have_the_size_that_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    follow = Display.follow
    sizes: list[tuple[int, int]] = []

    def sized(display: Display, result: Any) -> bool:
        inputs = PlanInputs(playlist_version(display.blocks), display.blocks, result.inputs)
        stored = inputs_to_json(deciding(result.schedule, inputs))
        documents = (schedule_to_json(result.schedule), stored)
        size = sum(len(json.dumps(each, separators=(",", ":"))) for each in documents)
        sizes.append((wall._size_of(display, result), size))
        return follow(display, result)

    monkeypatch.setattr(Display, "follow", sized)
    simulate_wall(WallPlan(displays=1, hours=0.2, posts=300, terms=2), _Clock())
    assert sizes
    assert [counted for counted, _ in sizes] == [stored for _, stored in sizes]


@settings(max_examples=20)
@given(_PLANS)
def test_every_plan_passes_its_audit_and_every_play_follows_the_plan(plan: WallPlan) -> None:
    with pytest.MonkeyPatch.context() as patch:
        plays = _watched(patch)
        tallies = simulate_wall(plan, _Clock())
    whole = total(tallies)
    counted = [play for played in plays.values() for play in played if play.ended >= 0]
    kept = sum(play.pick.tier is Tier.KEPT for play in counted)
    assert whole.plays == len(counted) == whole.new + whole.replays + whole.repeats + kept
    assert whole.plans == whole.settled + whole.prolonged
    assert whole.planning_seconds == whole.plans
    assert whole.changed <= whole.plans
    for played in plays.values():
        assert [play.ended for play in played] == sorted(play.ended for play in played)
        # What was shown as new was never shown before.
        shown: set[str] = set()
        for play in played:
            assert play.pick.tier is not Tier.NEW or play.pick.post_id not in shown
            shown.add(play.pick.post_id)


def _watched(patch: pytest.MonkeyPatch) -> dict[str, list[Played]]:
    """The plays of each display from now on; every plan is audited."""
    plays: dict[str, list[Played]] = {}
    follow, play_until = Display.follow, Display.play_until

    def audited(display: Display, result: Any) -> bool:
        inputs = PlanInputs(playlist_version(display.blocks), display.blocks, result.inputs)
        audit_schedule(result.schedule, inputs)
        return follow(display, result)

    def kept(display: Display, now: float) -> list[Played]:
        found = list(play_until(display, now))
        plays.setdefault(display.code, []).extend(found)
        return found

    patch.setattr(Display, "follow", audited)
    patch.setattr(Display, "play_until", kept)
    return plays


def test_the_same_seed_gives_the_same_wall_in_whatever_groups(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan = WallPlan(4, 0.05, rates=Rates(edits=100.0, deletes=10_000.0), settle_seconds=1.0)
    first = [tally.counts() for tally in simulate_wall(plan, _Clock())]
    assert [tally.counts() for tally in simulate_wall(plan, _Clock())] == first
    monkeypatch.setattr(wall, "_GROUP_BYTES", 1)
    assert [tally.counts() for tally in simulate_wall(plan, _Clock())] == first
    other = WallPlan(4, 0.05, rates=plan.rates, settle_seconds=1.0, seed=2)
    assert [tally.counts() for tally in simulate_wall(other, _Clock())] != first


def test_few_settlers_plan_displays_less_often() -> None:
    slow = WallPlan(5, 0.05, settle_seconds=2.0)
    fast = WallPlan(5, 0.05, settle_seconds=2.0, settlers=20)
    assert slow.cycle == pytest.approx(10 / (1 - 10 / 520))
    assert fast.cycle == 1.0
    few, many = (total(simulate_wall(plan, _Clock())) for plan in (slow, fast))
    assert 0 < few.settled_for_posts < many.settled_for_posts
    # A display is settled once in a cycle at most.
    assert few.settled_for_posts <= 5 * (slow.seconds / slow.cycle + 1)


def test_plans_that_end_leave_less_time_for_new_posts() -> None:
    # Of 52 videos of 10 s each display ends a loop every 520 s, and is settled in 0.1 s.
    half_busy = WallPlan(displays=2_600, settle_seconds=0.1)
    assert half_busy.cycle == pytest.approx(260 / (1 - 0.5))
    assert WallPlan(displays=2_600, settle_seconds=0.1, settlers=2).cycle == pytest.approx(
        260 / (2 - 0.5)
    )


@pytest.mark.parametrize(("displays", "needed"), [(5_200, 2), (6_000, 2), (15_600, 4)])
def test_settlers_that_cannot_keep_up_with_plans_that_end_are_refused(
    displays: int, needed: int
) -> None:
    with pytest.raises(InvalidInputError, match=f"give at least {needed} to settle"):
        WallPlan(displays=displays, settle_seconds=0.1, settlers=needed - 1)
    assert WallPlan(displays=displays, settle_seconds=0.1, settlers=needed).cycle > 0


def test_a_wall_without_changes_plans_only_because_plans_end() -> None:
    whole = total(simulate_wall(WallPlan(2, 0.3, rates=Rates(0.0, 0.0, 0.0)), _Clock()))
    assert (whole.changes, whole.settled) == (0, 0)
    assert whole.plans == whole.prolonged
    assert 0 < whole.prolonged <= whole.loops + 2


def _catalogue(**given: Any) -> Catalogue:
    values: dict[str, Any] = {
        "posts": 20_000, "rates": Rates(86_400.0, 0.0, 0.0), "seconds": 600.0, "seed": 3,
    }  # fmt: skip
    return Catalogue(zipf_shares([f"t{n}" for n in range(20)]), **{**values, **given})


@given(st.integers(0, 19), st.sampled_from(Format), st.sampled_from(FetchMode), st.floats(0, 590))
def test_candidates_change_when_it_is_said(
    term: int, format_: Format, mode: FetchMode, second: float
) -> None:
    catalogue = _catalogue(pool_size=50)
    name = f"t{term}"

    def pool(at: float) -> list[str]:
        found = list(catalogue.candidates(name, format_, mode, at, 7).ids)
        return found[:50] if mode is FetchMode.RANDOM else found

    change = catalogue.next_change(name, format_, mode, second)
    assert change > second
    assert pool(second) == pool(min(change - 0.001, 600.0))
    if change < 600:
        assert pool(second) != pool(change)


def test_the_newest_come_first_and_deleted_posts_are_gone() -> None:
    catalogue = _catalogue(rates=Rates(86_400.0, 200_000.0, 0.0))
    assert catalogue.deletes
    last = max(catalogue.deletes.values())
    for mode in FetchMode:
        ids = list(catalogue.candidates("t0", Format.MIXED, mode, last, 7).ids)
        assert not {post_number(name) for name in ids} & catalogue.deletes.keys()
        assert len(ids) == len(set(ids))
    newest = list(catalogue.candidates("t0", Format.MIXED, FetchMode.NEWEST, last, 7).ids)
    assert all(one > other for one, other in pairwise(newest))
    mixed, wide, tall = (
        set(catalogue.source("t1", format_).numbers.tolist())
        for format_ in (Format.MIXED, Format.WIDE, Format.TALL)
    )
    assert wide | tall <= mixed
    assert not wide & tall
    assert post_number(post_id(12)) == 12


def test_the_last_terms_match_nothing_and_their_blocks_are_dry() -> None:
    shares = zipf_shares([f"t{n}" for n in range(20)])
    assert [name for name, share in shares.items() if not share] == ["t19"]
    catalogue = _catalogue()
    assert not len(catalogue.source("t19", Format.MIXED).numbers)


def test_a_playlist_is_the_one_that_runs_today() -> None:
    blocks = draw_playlist(["t0", "t1"], random.Random(1))  # noqa: S311  # to be repeated
    assert (len(blocks), sum(block.video_count for block in blocks)) == (12, 52)
    assert [block.block_order for block in blocks] == list(range(12))
    assert len({block.id for block in blocks}) == 12


def test_needs_are_by_the_second() -> None:
    needs = needs_of(Tally(plays=36_000, plans=3_600, rows=7_200, plan_bytes=3_600), 10, 3_600.0)
    assert needs.api_cores == pytest.approx(0.012)
    assert needs.settling_cores == pytest.approx(0.0049)
    assert needs.postgres_cores == pytest.approx(0.0091)
    assert (needs.rows_per_second, needs.plan_bytes_per_second) == (2.0, 1.0)
    assert needs.redis_bytes == 46_000
