"""The statistic: are the displays in a share worse than the others?

A mixture sequential probability ratio test of the events, given how many there are. If the share
changed nothing, an event falls on a display in the share with the probability π, the share's part
of all trials. If it made events r times as frequent, that is rπ / (rπ + 1 − π). The evidence is the
mean likelihood ratio over several r above 1. Without a change it exceeds 1/α at any time with a
probability of at most α (Ville), however often it is looked at.

Displays differ: one with a small pool repeats a lot, wherever it is. So only displays are compared
that did alike before the rollout, in strata whose evidence is added up. And events of one display
are not independent: counts of events are divided by their overdispersion between the displays of a
side and stratum, a larger one if few displays are known.
"""

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sorafeed_assets.domain.rollouts.signals import GATES, Gate, Sample, Samples, Signal

FALSE_ALARMS: Final = 0.005
"""The probability that a rollout is rolled back although its value changes nothing."""
LEAST_DISPLAYS: Final = 3
"""How many displays each side needs; one display says nothing of others."""
# Less than the smallest ratio's square root is tolerated: evidence does not grow.
_RATIOS: Final = (1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
# Displays are alike when their usual parts are between the same two of these.
_CLASSES: Final = (0.05, 0.25)
# The rates of both sides.
_ESTIMATED: Final = 2
_FEW: Final = 6.0
# More evidence than this is no reason to roll back, but to wait.
_DOUBT: Final = math.log(20.0)
_TOO_LITTLE: Final = "too little data"


class Verdict(StrEnum):
    """What the signals say about a step."""

    PASS = "pass"  # noqa: S105  # a verdict
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One signal's rates, the evidence that it is worse inside (natural log), and its verdict."""

    signal: Signal
    inside: Sample
    outside: Sample
    evidence: float
    verdict: Verdict
    why: str

    @property
    def says(self) -> str:
        """The verdict in words: a signal that no step waits for may say nothing."""
        is_silent = self.verdict is Verdict.PASS and self.why.startswith(_TOO_LITTLE)
        return "no data" if is_silent else self.verdict.value


def compare_all(samples: Mapping[Signal, Samples], steps: int) -> list[Comparison]:
    """Compare every signal, in the order of `Signal`.

    The probability of a false alarm is spread evenly over the signals, and over the ``steps`` of
    the rollout, each of which begins a new comparison.
    """
    needed = math.log(len(samples) * steps / FALSE_ALARMS)
    return [_compare(signal, samples[signal], needed) for signal in Signal if signal in samples]


def verdict_of(comparisons: Sequence[Comparison]) -> Verdict:
    """The verdict of a step: the worst of its signals."""
    found = {comparison.verdict for comparison in comparisons}
    if Verdict.FAIL in found:
        return Verdict.FAIL
    return Verdict.PASS if found == {Verdict.PASS} else Verdict.INCONCLUSIVE


def _compare(signal: Signal, samples: Samples, needed: float) -> Comparison:
    gate = GATES[signal]
    inside, outside = _known(samples.inside), _known(samples.outside)
    totals = _total(inside), _total(outside)
    rates = _rates(gate, *totals)
    displays = min(len(inside), len(outside))
    trials = min(total.trials for total in totals)
    if samples.missing is not None:
        why = f"not known: {samples.missing}"
        return Comparison(signal, *totals, 0.0, Verdict.INCONCLUSIVE, why)
    if displays < LEAST_DISPLAYS or trials < gate.least:
        why = (
            f"{_TOO_LITTLE}: {len(inside)} and {len(outside)} {gate.samples}, {rates};"
            f" {LEAST_DISPLAYS} and {gate.least} are needed on each side"
        )
        verdict = Verdict.INCONCLUSIVE if gate.holds else Verdict.PASS
        return Comparison(signal, *totals, 0.0, verdict, why)
    found = evidence(inside, outside)
    if found >= needed:
        verdict, why = Verdict.FAIL, f"worse {gate.inside}: {rates}"
    elif found >= _DOUBT:
        verdict, why = Verdict.INCONCLUSIVE, f"perhaps worse {gate.inside}: {rates}"
    else:
        verdict, why = Verdict.PASS, f"not worse {gate.inside}: {rates}"
    return Comparison(signal, *totals, found, verdict, why)


def evidence(inside: Sequence[Sample], outside: Sequence[Sample]) -> float:
    """The natural log of the mean likelihood ratio; above 0 when the displays inside are worse."""
    strata = [
        _Stratum.of(*sides) for sides in zip(_by_class(inside), _by_class(outside), strict=True)
    ]
    logs = [sum(each.evidence(ratio) for each in strata if each) for ratio in _RATIOS]
    most = max(logs)
    return most + math.log(sum(math.exp(each - most) for each in logs) / len(logs))


@dataclass(frozen=True, slots=True)
class _Stratum:
    """Displays that did alike before: their events, the share's part of trials, the spread."""

    inside: int
    events: int
    share: float
    spread: float

    @classmethod
    def of(cls, inside: Sequence[Sample], outside: Sequence[Sample]) -> "_Stratum | None":
        """None when the displays say nothing: a side is missing, or nothing went wrong."""
        in_share, others = _total(inside), _total(outside)
        events = in_share.events + others.events
        displays = len(inside) + len(outside)
        if not (inside and outside and events and displays > _ESTIMATED):
            return None
        squares = sum(
            (each.events - total.events / total.trials * each.trials) ** 2
            for side, total in ((inside, in_share), (outside, others))
            for each in side
        )
        freedom = displays - _ESTIMATED
        # A few displays may look alike by chance.
        spread = max(1.0, squares / events * displays / freedom) * (1.0 + _FEW / freedom)
        share = in_share.trials / (in_share.trials + others.trials)
        return cls(in_share.events, events, share, spread)

    def evidence(self, ratio: float) -> float:
        """The log of the likelihood if events were ``ratio`` times as frequent inside, over 1."""
        common = math.log(ratio * self.share + 1.0 - self.share)
        return (self.inside * math.log(ratio) - self.events * common) / self.spread


def _by_class(samples: Sequence[Sample]) -> list[list[Sample]]:
    classes: list[list[Sample]] = [[] for _ in range(len(_CLASSES) + 1)]
    for sample in samples:
        classes[bisect_right(_CLASSES, sample.usual)].append(sample)
    return classes


def _known(samples: Sequence[Sample]) -> list[Sample]:
    return [sample for sample in samples if sample.trials]


def _total(samples: Sequence[Sample]) -> Sample:
    return Sample(sum(s.events for s in samples), sum(s.trials for s in samples))


def _rates(gate: Gate, inside: Sample, outside: Sample) -> str:
    return (
        f"{inside.events} of {inside.trials}, {gate.outside} {outside.events} of"
        f" {outside.trials} {gate.trials}"
    )
