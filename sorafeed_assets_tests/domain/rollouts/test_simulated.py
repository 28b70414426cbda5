"""Simulated hours: a bad planner is rolled back, a good one reaches all displays."""

from datetime import timedelta

import numpy as np
import pytest

from sorafeed_assets.domain.rollouts.comparing import Verdict, compare_all
from sorafeed_assets.domain.rollouts.machine import Status
from sorafeed_assets.domain.rollouts.signals import Sample, Samples, Signal
from sorafeed_assets_tests.domain.rollouts.walls import NOON, Wall

_HOUR = 60
_SEEDS = 400


@pytest.mark.parametrize(
    ("signal", "factor"),
    [
        (Signal.REPEATS, 20.0),
        (Signal.SKIPPED, 4.0),
        (Signal.FAILED, 10.0),
        (Signal.API_ERRORS, 20.0),
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


def _server_fails(seed: int, worse: float) -> int | None:
    """The minute of a step in which the API's failures stop it, of 30; one in 500 is usual.

    Some minutes are bad: ten times as many requests fail.
    """
    random = np.random.default_rng(seed)

    def minutes(count: int, factor: float) -> list[Sample]:
        requests = random.poisson(600, count)
        bad = np.where(random.random(count) < 0.05, 10.0, 1.0)
        failed = random.binomial(requests, np.minimum(0.002 * bad * factor, 1.0))
        return list(map(Sample, failed.tolist(), requests.tolist()))

    before, since = minutes(60, 1.0), minutes(30, worse)
    for minute in range(1, 31):
        samples = {Signal.SERVER_ERRORS: Samples(since[:minute], before)}
        if compare_all(samples, 3)[0].verdict is Verdict.FAIL:
            return minute
    return None


def test_a_server_that_fails_is_found_and_one_that_has_bad_minutes_is_not() -> None:
    alarms = [seed for seed in range(_SEEDS) if _server_fails(seed, 1.0) is not None]
    assert len(alarms) < _SEEDS / 100, alarms
    found = [_server_fails(seed, 20.0) for seed in range(20)]
    assert all(minute is not None and minute <= 15 for minute in found), found
