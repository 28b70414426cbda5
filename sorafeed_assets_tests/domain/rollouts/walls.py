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
PLAYS_A_MINUTE = 4.0
WANTED = frozenset(
    {Signal.SKIPPED, Signal.REPEATS, Signal.FAILED, Signal.PLAN_PROBLEMS, Signal.DRY_BLOCKS}
)
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
    displays always do. ``buckets`` is where each display's share begins.
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
        }
        self._has_problem = self._random.random(number) < 0.02
        self._dry = self._random.binomial(10, 0.03, number)
        # What the displays did in the hour before.
        hour = int(60 * PLAYS_A_MINUTE)
        self._usual = {
            signal: self._random.binomial(hour, rates) / hour
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
        return {name: np.zeros(self.displays, np.int64) for name in ("plays", *self._rates)}

    def _play(self, counts: dict[str, Counts], inside: NDArray[np.bool_]) -> None:
        plays = self._random.poisson(PLAYS_A_MINUTE, self.displays)
        counts["plays"] += plays
        for signal, rates in self._rates.items():
            factor = np.where(inside, self.worse.get(signal, 1.0), 1.0)
            counts[signal] += self._random.binomial(plays, np.minimum(rates * factor, 1.0))

    def _samples(
        self, counts: Mapping[str, Counts], inside: NDArray[np.bool_]
    ) -> dict[Signal, Samples]:
        ones, ten = np.ones(self.displays, np.int64), np.full(self.displays, 10)
        problems = self._has_problem | (inside & (self.worse.get(Signal.PLAN_PROBLEMS, 1.0) > 1.0))
        read = {signal: (counts[signal], counts["plays"]) for signal in self._rates}
        read |= {
            Signal.PLAN_PROBLEMS: (problems.astype(np.int64), ones),
            Signal.DRY_BLOCKS: (self._dry, ten),
        }
        return {
            signal: Samples(
                *(
                    list(
                        map(
                            Sample,
                            events[side].tolist(),
                            trials[side].tolist(),
                            self._usual[signal][side].tolist(),
                        )
                    )
                    for side in (inside, ~inside)
                )
            )
            for signal, (events, trials) in read.items()
        }
