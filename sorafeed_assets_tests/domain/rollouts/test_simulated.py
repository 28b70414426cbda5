"""Simulated hours: a bad planner is rolled back, a good one reaches all displays."""

from datetime import timedelta

import pytest

from sorafeed_assets.domain.rollouts.machine import Status
from sorafeed_assets.domain.rollouts.signals import Signal
from sorafeed_assets_tests.domain.rollouts.walls import NOON, Wall

_HOUR = 60
_SEEDS = 400


@pytest.mark.parametrize(
    ("signal", "factor"),
    [
        (Signal.REPEATS, 20.0),
        (Signal.SKIPPED, 4.0),
        (Signal.FAILED, 10.0),
        (Signal.PLAN_PROBLEMS, 2.0),
    ],
)
def test_a_bad_planner_is_rolled_back_within_the_hour(signal: Signal, factor: float) -> None:
    for seed in range(20):
        last = Wall(seed, worse={signal: factor}).run(_HOUR)[-1]
        assert last.status is Status.ROLLED_BACK, f"seed {seed}"
        assert last.percent == 0.0
        assert last.since <= NOON + timedelta(hours=1)
        assert "worse in the share" in last.reason


def test_a_good_planner_reaches_all_displays_and_false_alarms_are_rare() -> None:
    alarms, slow = [], []
    for seed in range(_SEEDS):
        states = Wall(seed).run(_HOUR)
        if states[-1].status is Status.ROLLED_BACK:
            alarms.append(seed)
        elif states[-1].status is not Status.COMPLETED:
            slow.append(seed)
        else:
            assert [state.percent for state in states] == [5.0, 25.0, 50.0, 100.0]
    # Under 1 of 100 simulations.
    assert len(alarms) < _SEEDS / 100, alarms
    # Doubt may hold a step, but a good planner goes through.
    assert len(slow) < _SEEDS / 20, slow


def test_a_planner_that_is_better_goes_through() -> None:
    worse = {Signal.REPEATS: 0.2, Signal.SKIPPED: 0.5}
    assert all(Wall(seed, worse=worse).run(_HOUR)[-1].percent == 100.0 for seed in range(10))


def test_a_small_wall_waits_and_never_passes() -> None:
    # 5 % of 40 displays are two: too few to say anything.
    (only,) = Wall(1, displays=40).run(_HOUR)
    assert (only.status, only.percent) == (Status.RUNNING, 5.0)
