"""The states of a rollout: every way that the rules allow, and no other."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.rollouts.comparing import Verdict
from sorafeed_assets.domain.rollouts.machine import (
    ENDED,
    NotAllowedError,
    Status,
    Step,
    begin,
    check_rollout,
    force,
    judge,
    pause,
    resume,
    stop,
)
from sorafeed_assets_tests.domain.rollouts.walls import NOON, STEPS, rollout

_HELD = {Status.PAUSED, Status.FORCED}


class RolloutMachine(RuleBasedStateMachine):
    """One rollout, evaluated and handled in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.plan = rollout()
        self.now = NOON
        self.state = self.before = begin(self.plan, NOON)
        self.by_hand = False

    @rule(minutes=st.integers(1, 15), verdict=st.sampled_from(Verdict))
    def evaluate(self, minutes: int, verdict: Verdict) -> None:
        self.now += timedelta(minutes=minutes)
        before = self.state
        self.state = judge(self.plan, before, verdict, "bad", self.now)
        acts = before.status in {Status.RUNNING, Status.PAUSED}
        if verdict is Verdict.FAIL and acts:
            assert (self.state.status, self.state.percent) == (Status.ROLLED_BACK, 0.0)
        elif self.state != before:
            # Only a running rollout goes on, by one step, after its time, with enough data.
            assert before.status is Status.RUNNING
            assert verdict is Verdict.PASS
            assert self.now - before.since >= self.plan.steps[before.step].duration
            assert self.state.step == before.step + 1

    @rule()
    def pause_it(self) -> None:
        if self.state.status is Status.RUNNING:
            self.state = pause(self.state, "looking")
        else:
            with pytest.raises(NotAllowedError):
                pause(self.state, "looking")

    @rule()
    def resume_it(self) -> None:
        if self.state.status in _HELD:
            self.state = resume(self.plan, self.state, self.now)
            assert self.state.status in {Status.RUNNING, Status.COMPLETED}
        else:
            with pytest.raises(NotAllowedError):
                resume(self.plan, self.state, self.now)

    @rule(percent=st.sampled_from([0.0, 5.0, 30.0, 100.0]))
    def force_it(self, percent: float) -> None:
        # Never both: a paused one is not forced, a forced one not paused.
        if self.state.status in {Status.RUNNING, Status.FORCED}:
            self.state = force(self.state, percent, self.now, "urgent")
            assert (self.state.status, self.state.percent) == (Status.FORCED, percent)
        else:
            with pytest.raises(NotAllowedError):
                force(self.state, percent, self.now, "urgent")

    @precondition(lambda self: self.state.status in ENDED)
    @rule()
    def stop_an_ended_one(self) -> None:
        with pytest.raises(NotAllowedError, match="start a new one"):
            stop(self.state, self.now, "no more")

    @precondition(lambda self: self.state.status not in ENDED)
    @rule()
    def stop_it(self) -> None:
        self.state = stop(self.state, self.now, "no more")
        assert self.state.percent == 0.0

    @invariant()
    def the_share_is_that_of_the_status(self) -> None:
        steps = self.plan.steps
        if self.state.status in {Status.RUNNING, Status.PAUSED}:
            assert self.state.percent == steps[self.state.step].percent < 100.0
        if self.state.status is Status.COMPLETED:
            assert self.state.percent == 100.0

    @invariant()
    def an_end_is_final(self) -> None:
        if self.before.status in ENDED:
            assert self.state == self.before
        self.before = self.state


TestRolloutMachine = RolloutMachine.TestCase
TestRolloutMachine.settings = settings(deadline=None)


@pytest.mark.parametrize(
    ("percents", "problem"),
    [
        ((), "give 2 to 20"),
        ((100.0,), "give 2 to 20"),
        ((5.0, 50.0), "the last step is 100"),
        ((50.0, 5.0, 100.0), "shares must grow"),
        ((0.0, 100.0), "shares must grow"),
        ((100.0, 100.0), "shares must grow"),
    ],
)
def test_bad_steps_are_refused(percents: tuple[float, ...], problem: str) -> None:
    steps = tuple(Step(percent, timedelta(minutes=5)) for percent in percents)
    with pytest.raises(InvalidInputError, match=problem):
        rollout(steps)


def test_bad_names_durations_and_signals_are_refused() -> None:
    planned = rollout()
    for name in ("", "a b", "x" * 61, "a/b"):
        with pytest.raises(InvalidInputError, match="name"):
            check_rollout(replace(planned, name=name))
    for duration in (timedelta(0), timedelta(days=31)):
        with pytest.raises(InvalidInputError, match="a minute to 30 days"):
            check_rollout(replace(planned, steps=(Step(5.0, duration), STEPS[-1])))
    with pytest.raises(InvalidInputError, match="signals"):
        check_rollout(replace(planned, signals=frozenset()))
