"""The plan of faults: the same for the same seed, with as many kills as asked for."""

from hypothesis import given
from hypothesis import strategies as st

from sorafeed_assets.chaos.plan import KILLS, LASTING, Kind, make_plan

_SOME = st.sets(st.sampled_from(sorted(Kind)), min_size=1)


@given(st.floats(3, 4_000), st.integers(0, 300), st.integers(0, 2**32), _SOME)
def test_a_plan_is_as_asked(seconds: float, kills: int, seed: int, possible: set[Kind]) -> None:
    plan = make_plan(seconds, kills, seed, possible)
    assert plan == make_plan(seconds, kills, seed, possible)
    deadly, others = possible & KILLS.keys(), possible - KILLS.keys()
    assert sum(fault.kind in KILLS for fault in plan) == (kills if deadly else 0)
    assert {fault.kind for fault in plan} <= possible
    if kills >= len(others):
        assert others <= {fault.kind for fault in plan}
    assert [fault.at for fault in plan] == sorted(fault.at for fault in plan)
    for fault in plan:
        assert 0 <= fault.at <= seconds
        assert 0 <= fault.turn < 1
        assert (fault.seconds > 0) == (fault.kind in LASTING)


@given(st.integers(0, 2**32), st.integers(1, 20))
def test_all_targets_of_a_kind_have_their_turn(seed: int, targets: int) -> None:
    turns = [fault.turn for fault in make_plan(60, 200, seed, {Kind.KILL_API})]
    for first in range(len(turns) - 2 * targets):
        some = turns[first : first + 2 * targets]
        assert {int(turn * targets) for turn in some} == set(range(targets))


def test_another_seed_is_another_plan() -> None:
    assert make_plan(60, 20, 1) != make_plan(60, 20, 2)
