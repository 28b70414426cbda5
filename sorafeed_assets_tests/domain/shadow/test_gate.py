"""The gate: open only when each day says something, and nothing is unexplained."""

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from sorafeed_assets.domain.shadow.gate import Outcomes, judge_gate
from sorafeed_assets.domain.shadow.outcome import Outcome

TODAY: Final = date(2026, 11, 25)
NEEDED: Final = ("count", "timeline")
GOOD: Final = {Outcome.SAME: 5, Outcome.EXPECTED: 3}


def _days(*kinds: Mapping[str, Outcomes]) -> dict[date, Mapping[str, Outcomes]]:
    """Days, the last of them today."""
    return {TODAY - timedelta(days=back): each for back, each in enumerate(reversed(kinds))}


def test_it_opens_when_every_day_is_good() -> None:
    days = _days(*[{"count": GOOD, "timeline": GOOD}] * 3)
    gate = judge_gate(days, TODAY, 3, NEEDED)
    assert gate.is_open
    assert gate.reason == "no unexplained difference in the last 3 days"
    assert not judge_gate(days, TODAY, 4, NEEDED).is_open


def test_one_unexplained_difference_closes_it_until_it_is_older() -> None:
    bad = {"count": {**GOOD, Outcome.UNEXPLAINED: 1}, "timeline": GOOD}
    days = _days(bad, *[{"count": GOOD, "timeline": GOOD}] * 3)
    gate = judge_gate(days, TODAY, 4, NEEDED)
    assert not gate.is_open
    assert gate.unexplained == 1
    assert gate.reason == "1 unexplained difference in the last 4 days"
    assert judge_gate(days, TODAY, 3, NEEDED).is_open


def test_a_day_that_says_too_little_keeps_it_closed() -> None:
    silent = {"count": {Outcome.NOT_COMPARED: 9}, "timeline": GOOD}
    half = {"count": {Outcome.NOT_COMPARED: 5, Outcome.SAME: 4}, "timeline": GOOD}
    enough = {"count": {Outcome.NOT_COMPARED: 4, Outcome.SAME: 4}, "timeline": GOOD}
    for day, is_open in ((silent, False), (half, False), (enough, True)):
        gate = judge_gate(_days(day), TODAY, 1, NEEDED)
        assert gate.is_open is is_open
        if not is_open:
            assert gate.reason == "too little was compared on 2026-11-25"
    assert not judge_gate({}, TODAY, 1, NEEDED).is_open
    # Queues and plays alone say nothing about this system.
    assert not judge_gate(_days({"queue": GOOD}), TODAY, 1, NEEDED).is_open
    # Without the old queues, counts suffice.
    assert judge_gate(_days({"count": GOOD}), TODAY, 1, NEEDED).is_open


_OUTCOMES = st.dictionaries(st.sampled_from(list(Outcome)), st.integers(0, 5))
_KINDS = st.dictionaries(st.sampled_from(["count", "timeline", "queue"]), _OUTCOMES)


@given(kinds=st.lists(_KINDS, min_size=1, max_size=5), days=st.integers(1, 5))
def test_it_never_opens_over_an_unexplained_difference(
    kinds: list[dict[str, Outcomes]], days: int
) -> None:
    gate = judge_gate(_days(*kinds), TODAY, days, NEEDED)
    unexplained = sum(
        outcomes.get(Outcome.UNEXPLAINED, 0) for day in kinds[-days:] for outcomes in day.values()
    )
    assert gate.unexplained == unexplained
    if gate.is_open:
        assert unexplained == 0
        assert len(kinds) >= days
