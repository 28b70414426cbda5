"""Ratios, targets and spreads of the table of results."""

import pytest

from sorafeed_assets.bench.measuring import Target, alternate, percentile_99, row, spread
from sorafeed_assets.bench.report import markdown


def test_a_ratio_says_how_often_ours_fits_into_the_baseline() -> None:
    made = row("work", "s", [1.0, 2.0, 3.0], Target(at_least=5), [10.0, 30.0, 20.0])
    assert (made.ours, made.baseline, made.ratio, made.met, made.runs) == (2.0, 20.0, 10.0, True, 3)
    assert made.spread == 1.0
    assert not row("work", "s", [1.0], Target(at_least=5), [4.0]).met


def test_against_itself_the_ratio_is_growth() -> None:
    assert row("more", "s", [3.0], Target(ratio_under=2), [2.0]).ratio == 1.5
    assert row("more", "s", [3.0], Target(ratio_under=2), [2.0]).met
    assert not row("more", "s", [3.0], Target(ratio_under=1.5), [2.0]).met


def test_limits_and_percentiles() -> None:
    values = [float(n) for n in range(1, 101)]
    assert percentile_99(values) == 100.0
    assert not row("p", "ms", values, Target(ours_under=50), ours_is=percentile_99).met
    assert row("p", "ms", values, Target(ours_under=51)).met
    assert spread([0.0, 0.0]) == 0.0


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (Target(), "–"),
        (Target(at_least=200), "≥ 200 × faster"),
        (Target(ratio_under=1.3), "< 1.3 × the time"),
        (Target(ours_under=1), "< 1 ms"),
    ],
)
def test_targets_in_words(target: Target, words: str) -> None:
    assert target.text("ms") == words


def test_both_sides_take_turns() -> None:
    calls: list[str] = []

    def side(name: str) -> float:
        calls.append(name)
        return float(len(calls))

    assert alternate(lambda _n: side("A"), lambda _n: side("B"), 2) == ([1.0, 3.0], [2.0, 4.0])
    assert calls == ["A", "B", "A", "B"]


def test_the_table() -> None:
    rows = [
        row("hourly", "s", [0.5], Target(at_least=200), [250.0]),
        row("alone", "ms", [1234.0], Target()),
    ]
    assert markdown(rows).splitlines()[2:] == [
        "| hourly | 0.5 s | 250 s | 500 × | ≥ 200 × faster | yes | 1 | 0% |",
        "| alone | 1,234 ms | – | – | – | yes | 1 | 0% |",
    ]
