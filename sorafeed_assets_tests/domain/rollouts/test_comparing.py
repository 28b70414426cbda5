"""The statistic: what it needs, what it tolerates, and what it takes for a difference."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sorafeed_assets.domain.rollouts.comparing import (
    Comparison,
    Verdict,
    compare_all,
    evidence,
    verdict_of,
)
from sorafeed_assets.domain.rollouts.signals import GATES, Sample, Samples, Signal

_SAMPLES = st.lists(
    st.integers(0, 50).flatmap(
        lambda trials: st.builds(
            Sample, st.integers(0, trials), st.just(trials), st.floats(0.0, 1.0)
        )
    ),
    max_size=12,
)


def _one(signal: Signal, inside: list[Sample], outside: list[Sample]) -> Comparison:
    (found,) = compare_all({signal: Samples(inside, outside)}, 3)
    return found


def test_few_displays_or_few_plays_are_inconclusive() -> None:
    many = [Sample(0, 50)] * 10
    for inside in ([], [Sample(40, 50)] * 2, [Sample(30, 30)] * 3):
        found = _one(Signal.SKIPPED, inside, many)
        assert found.verdict is Verdict.INCONCLUSIVE
        assert "too little data" in found.why
    # Displays that played nothing are not counted.
    assert (
        _one(Signal.SKIPPED, [Sample(0, 0)] * 9 + [Sample(0, 99)] * 2, many).verdict
        is Verdict.INCONCLUSIVE
    )


def test_a_signal_of_which_a_quiet_wall_has_no_data_holds_no_step() -> None:
    quiet = _one(Signal.SLOW, [], [])
    assert quiet.verdict is Verdict.PASS
    # It is not said to have passed.
    assert quiet.says == "no data"
    assert _one(Signal.SKIPPED, [], []).says == "inconclusive"
    assert _one(Signal.SLOW, [Sample(0, 20)] * 5, [Sample(0, 20)] * 20).says == "pass"
    bad = [Sample(20, 20)] * 5
    assert _one(Signal.SLOW, bad, [Sample(0, 20)] * 20).verdict is Verdict.FAIL


@pytest.mark.parametrize("signal", Signal)
def test_every_signal_passes_when_alike_and_fails_when_much_worse(signal: Signal) -> None:
    trials = max(GATES[signal].least, 10)
    alike = _one(signal, [Sample(1, trials)] * 10, [Sample(1, trials)] * 40)
    assert alike.verdict is Verdict.PASS
    assert "not worse" in alike.why
    worse = _one(signal, [Sample(trials, trials)] * 10, [Sample(1, trials)] * 40)
    assert worse.verdict is Verdict.FAIL
    outside = GATES[signal].outside
    assert f"{10 * trials} of {10 * trials}, {outside} 40 of {40 * trials}" in worse.why


@pytest.mark.parametrize("signal", Signal)
def test_what_could_not_be_read_never_passes(signal: Signal) -> None:
    many = [Sample(0, 1_000)] * 10
    (found,) = compare_all({signal: Samples(many, many, "nobody answers")}, 3)
    assert (found.verdict, found.why) == (Verdict.INCONCLUSIVE, "not known: nobody answers")


def test_a_little_worse_is_tolerated_however_much_is_known() -> None:
    for plays in (1_000, 10_000, 100_000):
        inside, outside = [Sample(plays * 11 // 100, plays)] * 50, [Sample(plays // 10, plays)] * 50
        assert evidence(inside, outside) < 0


def test_one_bad_display_is_no_reason() -> None:
    inside = [Sample(100, 100), *[Sample(1, 100)] * 4]
    found = _one(Signal.SKIPPED, inside, [Sample(1, 100)] * 40)
    assert found.verdict is not Verdict.FAIL
    # The same skips, evenly spread, are one.
    even = _one(Signal.SKIPPED, [Sample(20, 100)] * 5, [Sample(1, 100)] * 40)
    assert even.verdict is Verdict.FAIL


def test_displays_are_compared_with_those_that_did_alike_before() -> None:
    # Ten displays always repeat; that most of them are in the share says nothing.
    often = [Sample(80, 100, 0.8)]
    seldom = [Sample(1, 100, 0.01)]
    assert evidence(often * 8 + seldom * 20, often * 2 + seldom * 70) < math.log(20)
    # The same counts without the past look like a difference.
    forgot = [sample._replace(usual=0.0) for sample in (*often, *seldom)]
    assert evidence([forgot[0]] * 8 + [forgot[1]] * 20, [forgot[0]] * 2 + [forgot[1]] * 70) > 0


def test_the_worst_signal_decides() -> None:
    def verdict(*found: Verdict) -> Verdict:
        return verdict_of(
            [Comparison(Signal.SKIPPED, Sample(0, 0), Sample(0, 0), 0.0, v, "") for v in found]
        )

    assert verdict(Verdict.PASS, Verdict.PASS) is Verdict.PASS
    assert verdict(Verdict.PASS, Verdict.INCONCLUSIVE) is Verdict.INCONCLUSIVE
    assert verdict(Verdict.INCONCLUSIVE, Verdict.FAIL, Verdict.PASS) is Verdict.FAIL


@settings(deadline=None)
@given(_SAMPLES, _SAMPLES)
def test_any_counts_have_a_verdict(inside: list[Sample], outside: list[Sample]) -> None:
    found = _one(Signal.SKIPPED, inside, outside)
    assert math.isfinite(found.evidence)
    # More events inside are never more in favour.
    worse = [s._replace(events=s.trials) for s in inside]
    if found.verdict is Verdict.FAIL:
        assert _one(Signal.SKIPPED, worse, outside).evidence > 0
