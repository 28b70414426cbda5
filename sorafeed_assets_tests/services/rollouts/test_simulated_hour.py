"""A simulated hour on real servers: a bad planner is rolled back, a good one reaches 100 %."""

from redis import Redis
from sqlalchemy import Engine

from sorafeed_assets.domain.rollouts.comparing import Verdict
from sorafeed_assets.domain.rollouts.machine import Status
from sorafeed_assets.domain.rollouts.signals import Signal
from sorafeed_assets.services.timelines.checks import check_plans, check_queues
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.services.rollouts.rolling import BAD, CODES, NAME, PLAN, RollingWall

_HOUR = 60
_OLD, _NEW = "in_order", "creator_gap"


def _seldom(_planner: str) -> float:
    return 0.03


def _assert_old_everywhere(wall: RollingWall) -> None:
    """Every display plays a plan of the old planner, and nothing waits to be settled."""
    assert set(wall.planners().values()) == {_OLD}
    assert wall.planners().keys() == set(CODES)
    assert run(wall.engine, "SELECT * FROM display_changes") == []
    assert run(wall.engine, "SELECT id FROM displays WHERE plan_problem IS NOT NULL") == []
    assert not any(check_queues(wall.engine, CODES, window=5).values())
    assert not any(check_plans(wall.engine, CODES).values())


def test_a_planner_whose_videos_are_skipped_is_rolled_back(engine: Engine, redis: Redis) -> None:
    wall = RollingWall(engine, redis)
    wall.rollouts.start(PLAN, by="test")
    inside = {code for code, planner in wall.planners().items() if planner == _NEW}
    assert 3 <= len(inside) < len(CODES) / 2

    found = wall.simulate(_HOUR, lambda planner: 0.5 if planner == _NEW else 0.03)

    last = found[-1]
    assert (last.verdict, last.after.status) == (Verdict.FAIL, Status.ROLLED_BACK)
    # The first bad evaluation is the one that rolls back.
    assert [each for each in found if each.verdict is Verdict.FAIL] == [last]
    assert inside <= set(last.displays)
    assert "skipped: worse in the share" in last.after.reason
    _assert_old_everywhere(wall)
    stored, changes = wall.rollouts.one(NAME)
    assert (stored.state.percent, changes[0].status) == (0.0, Status.ROLLED_BACK)
    assert changes[0].changed_by == f"rollout {NAME}"
    assert wall.rollouts.evaluate(NAME) is None


def test_a_planner_whose_plans_fail_their_audit_is_rolled_back(
    engine: Engine, redis: Redis
) -> None:
    wall = RollingWall(engine, redis, BAD)
    wall.rollouts.start(PLAN, by="test")
    # Its displays keep their last good build, and say why.
    problems = run(engine, "SELECT id FROM displays WHERE plan_problem IS NOT NULL")
    assert len(problems) >= 3

    (found,) = wall.simulate(_HOUR, _seldom)

    assert found.after.status is Status.ROLLED_BACK
    assert f"{Signal.PLAN_PROBLEMS}: worse in the share" in found.after.reason
    _assert_old_everywhere(wall)


def test_a_good_planner_reaches_all_displays(engine: Engine, redis: Redis) -> None:
    wall = RollingWall(engine, redis)
    wall.rollouts.start(PLAN, by="test")

    found = wall.simulate(_HOUR, _seldom)

    assert found[-1].after.status is Status.COMPLETED, [c.why for c in found[-1].comparisons]
    assert set(wall.planners().values()) == {_NEW}
    _, changes = wall.rollouts.one(NAME)
    assert [change.percent for change in reversed(changes)] == [25.0, 50.0, 100.0]
    assert sum(change.displays for change in changes) == len(CODES)
