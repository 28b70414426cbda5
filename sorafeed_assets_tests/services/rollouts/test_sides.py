"""How the probability of a false alarm is divided, however long a rollout takes."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from sorafeed_assets.domain.rollouts.comparing import FALSE_ALARMS
from sorafeed_assets.domain.rollouts.machine import State, Status, Step
from sorafeed_assets.services.rollouts.sides import compared_since, comparisons_of
from sorafeed_assets_tests.domain.rollouts.walls import NOON
from sorafeed_assets_tests.services.rollouts.rolling import PLAN

_MINUTE = timedelta(minutes=1)
_LAST = Step(100.0, timedelta(0))


@given(st.lists(st.tuples(st.integers(1, 2_000), st.integers(0, 20_000)), min_size=1, max_size=5))
def test_false_alarms_stay_under_one_of_a_hundred_however_long_steps_are_held(
    steps: list[tuple[int, int]],
) -> None:
    """Each step has its planned minutes and those that it is held beyond them, as by a pause."""
    shares = [
        Step(float(number + 1), planned * _MINUTE) for number, (planned, _) in enumerate(steps)
    ]
    plan = replace(PLAN, steps=(*shares, _LAST))
    spent = 0.0
    for number, (planned, held) in enumerate(steps):
        state = State(Status.PAUSED, number, 1.0, NOON, "")
        end = NOON + (planned + held) * _MINUTE
        moment = NOON + (planned - 1) * _MINUTE
        # As long as it is not held, all comparisons share the probability evenly.
        assert comparisons_of(plan, state, moment) == comparisons_of(plan, state, NOON)
        since = end
        while since > NOON:
            since = compared_since(state, since - timedelta(microseconds=1))
            spent += FALSE_ALARMS / comparisons_of(plan, state, since)
    assert 0 < spent <= 2 * FALSE_ALARMS <= 0.01


def test_a_comparison_needs_more_evidence_the_longer_a_step_is_held() -> None:
    plan = replace(PLAN, steps=(Step(25.0, timedelta(hours=2)), _LAST))
    state = State(Status.PAUSED, 0, 25.0, NOON, "")
    hours = [0, 1, 2, 3, 4, 6, 24]
    found = [comparisons_of(plan, state, NOON + timedelta(hours=hour)) for hour in hours]
    assert found == [1, 1, 2, 2, 6, 12, 156]
