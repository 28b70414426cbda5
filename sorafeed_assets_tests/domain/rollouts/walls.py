"""A simulated wall under a rollout: displays that play, skip and repeat, minute by minute."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from sorafeed_assets.domain.rollouts.comparing import compare_all, verdict_of
from sorafeed_assets.domain.rollouts.machine import (
    ENDED,
    Rollout,
    State,
    Step,
    begin,
    check_rollout,
    judge,
)
from sorafeed_assets.domain.rollouts.signals import Sample, Samples, Signal

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
_A_MINUTE = {"plays": 4.0, "requests": 10.0, "changes": 0.2}
_TRIALS = {
    Signal.SKIPPED: "plays",
    Signal.REPEATS: "plays",
    Signal.FAILED: "plays",
    Signal.API_ERRORS: "requests",
    Signal.LATE_ON_SCREEN: "changes",
}
# In one minute of fifty the server is away: half of what all displays ask of it fails.
_AWAY = 0.02
_FAILING = {Signal.API_ERRORS: 0.5, Signal.LATE_ON_SCREEN: 0.5}
WANTED = frozenset({*_TRIALS, Signal.PLAN_PROBLEMS, Signal.DRY_BLOCKS})
STEPS = (
    *(Step(percent, timedelta(minutes=10)) for percent in (5.0, 25.0, 50.0)),
    Step(100.0, timedelta(0)),
)

Counts = NDArray[np.int64]


def rollout(steps: tuple[Step, ...] = STEPS) -> Rollout:
    """A rollout of the second planner."""
    found = Rollout("gap", "planner", "creator_gap", steps, WANTED)
    check_rollout(found)
    return found


@dataclass
class Wall:
    """Displays that differ from each other; ``worse`` multiplies a signal's rate in the share.

    A display of the wall skips by its own taste, and repeats by the size of its own pools: a few
    displays always do. A server that is away for a minute fails all of them alike.
    """

    seed: int
    displays: int = 200
    worse: Mapping[Signal, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)
        number = self.displays
        self._buckets = self._random.permutation(number) * 100.0 / number
        small_pool = self._random.random(number) < 0.05
        self._rates = {
            Signal.SKIPPED: self._random.beta(1.0, 30.0, number),
            Signal.REPEATS: np.where(small_pool, 0.9, self._random.beta(0.5, 40.0, number)),
            Signal.FAILED: self._random.beta(1.0, 150.0, number),
            Signal.API_ERRORS: self._random.beta(1.0, 500.0, number),
            Signal.LATE_ON_SCREEN: self._random.beta(1.0, 60.0, number),
        }
        self._has_problem = self._random.random(number) < 0.02
        self._dry = self._random.binomial(10, 0.03, number)
        # What the displays did in the hour before.
        hour = {signal: int(60 * _A_MINUTE[trials]) for signal, trials in _TRIALS.items()}
        self._usual = {
            signal: self._random.binomial(hour[signal], rates) / hour[signal]
            for signal, rates in self._rates.items()
        } | {Signal.PLAN_PROBLEMS: self._has_problem * 1.0, Signal.DRY_BLOCKS: self._dry / 10.0}

    def run(self, minutes: int, planned: Rollout | None = None) -> list[State]:
        """The states of a rollout that is evaluated every minute."""
        planned = planned or rollout()
        state = begin(planned, NOON)
        states = [state]
        counts = self._none()
        for minute in range(1, minutes + 1):
            inside = self._buckets < state.percent
            self._play(counts, inside)
            compared = compare_all(self._samples(counts, inside), len(planned.steps) - 1)
            found = verdict_of(compared)
            why = "; ".join(c.why for c in compared if c.verdict is found)
            before, state = (
                state,
                judge(planned, state, found, why, NOON + timedelta(minutes=minute)),
            )
            if state != before:
                states.append(state)
                counts = self._none()
            if state.status in ENDED:
                break
        return states

    def _none(self) -> dict[str, Counts]:
        return {name: np.zeros(self.displays, np.int64) for name in (*_A_MINUTE, *_TRIALS)}

    def _play(self, counts: dict[str, Counts], inside: NDArray[np.bool_]) -> None:
        made = {name: self._random.poisson(rate, self.displays) for name, rate in _A_MINUTE.items()}
        for name, number in made.items():
            counts[name] += number
        is_away = self._random.random() < _AWAY
        for signal, rates in self._rates.items():
            factor = np.where(inside, self.worse.get(signal, 1.0), 1.0)
            least = _FAILING.get(signal, 0.0) if is_away else 0.0
            chance = np.clip(rates * factor, least, 1.0)
            counts[signal] += self._random.binomial(made[_TRIALS[signal]], chance)

    def _samples(
        self, counts: Mapping[str, Counts], inside: NDArray[np.bool_]
    ) -> dict[Signal, Samples]:
        ones, ten = np.ones(self.displays, np.int64), np.full(self.displays, 10)
        problems = self._has_problem | (inside & (self.worse.get(Signal.PLAN_PROBLEMS, 1.0) > 1.0))
        read = {signal: (counts[signal], counts[trials]) for signal, trials in _TRIALS.items()}
        read |= {
            Signal.PLAN_PROBLEMS: (problems.astype(np.int64), ones),
            Signal.DRY_BLOCKS: (self._dry, ten),
        }

        def side(signal: Signal, of: NDArray[np.bool_]) -> list[Sample]:
            events, trials = read[signal]
            usual = self._usual[signal][of].tolist()
            return list(map(Sample, events[of].tolist(), trials[of].tolist(), usual))

        return {signal: Samples(side(signal, inside), side(signal, ~inside)) for signal in read}
