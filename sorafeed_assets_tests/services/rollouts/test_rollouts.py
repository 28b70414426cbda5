"""Rollouts by hand: started, paused, forced, resumed and stopped; and what is refused."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from redis import Redis
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from sorafeed_assets.domain.errors import InvalidInputError, NotFoundError
from sorafeed_assets.domain.flags.definition import Definition
from sorafeed_assets.domain.flags.known import UnknownFlagError
from sorafeed_assets.domain.rollouts.comparing import Verdict
from sorafeed_assets.domain.rollouts.machine import NotAllowedError, Status
from sorafeed_assets.services.flags import Flags
from sorafeed_assets.services.rollouts.reads import RolloutNotFoundError
from sorafeed_assets.services.rollouts.rollouts import Rollouts, record_rollouts, rollout_versions
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.lineage_records import heads
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets.storage.postgres.locks import LockSpace, lock
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.services.rollouts.rolling import CODES, NAME, PLAN, RollingWall

_NEW = "creator_gap"


@pytest.fixture
def wall(engine: Engine, redis: Redis) -> RollingWall:
    found = RollingWall(engine, redis)
    found.rollouts.start(PLAN, by="test")
    return found


def _new(wall: RollingWall) -> set[str]:
    return {code for code, planner in wall.planners().items() if planner == _NEW}


def _versions(engine: Engine) -> tuple[Mapping[str, str], Mapping[str, str]]:
    with engine.connect() as connection:
        return rollout_versions(connection), heads(connection, "rollouts")["rollouts"]


def test_a_paused_rollout_does_not_go_on_but_is_still_rolled_back(wall: RollingWall) -> None:
    wall.rollouts.pause(NAME, by="anna", why="lunch")
    found = wall.simulate(8, lambda _planner: 0.0)
    assert {each.verdict for each in found} == {Verdict.INCONCLUSIVE, Verdict.PASS}
    assert {each.after.status for each in found} == {Status.PAUSED}
    last = wall.simulate(20, lambda planner: 0.6 if planner == _NEW else 0.0)[-1]
    assert last.after.status is Status.ROLLED_BACK
    assert _new(wall) == set()


def test_a_paused_rollout_is_not_forced_and_a_forced_one_not_paused(wall: RollingWall) -> None:
    rollouts = wall.rollouts
    rollouts.pause(NAME, by="anna", why="lunch")
    with pytest.raises(NotAllowedError, match="is paused, so it cannot be forced; resume it first"):
        rollouts.force(NAME, 50.0, by="ben", why="urgent")
    rollouts.resume(NAME, by="anna")
    rollouts.force(NAME, 50.0, by="ben", why="urgent")
    with pytest.raises(NotAllowedError, match="is forced"):
        rollouts.pause(NAME, by="anna", why="lunch")
    assert 12 < len(_new(wall)) < 36
    # Nothing is decided while it is forced.
    found = wall.simulate(20, lambda planner: 0.6 if planner == _NEW else 0.0)
    assert found[-1].verdict is Verdict.FAIL
    assert found[-1].after == found[0].before
    # It begins the step of its share again, so what was before is forgotten.
    assert rollouts.resume(NAME, by="ben").step == 1
    assert wall.simulate(1, lambda _planner: 0.0)[-1].verdict is Verdict.INCONCLUSIVE


def test_a_stopped_rollout_takes_its_share_back(wall: RollingWall) -> None:
    inside = _new(wall)
    assert inside
    assert wall.rollouts.stop(NAME, by="anna", why="not now").status is Status.STOPPED
    assert _new(wall) == set()
    stored, changes = wall.rollouts.one(NAME)
    assert (changes[0].reason, changes[0].displays) == ("not now", len(inside))
    assert stored.state.percent == 0.0
    assert wall.rollouts.due() == []
    with pytest.raises(NotAllowedError, match="start a new one"):
        wall.rollouts.resume(NAME, by="anna")


def test_a_share_that_was_set_outside_pauses_the_rollout(wall: RollingWall, engine: Engine) -> None:
    with engine.begin() as connection:
        Flags(engine).set_share(connection, "planner", 30.0, by="carl", why="by hand")
    after = wall.simulate(1, lambda _planner: 0.0)[-1].after
    assert (after.status, after.percent) == (Status.PAUSED, 25.0)
    assert "30 %: it was set outside" in after.reason
    # Resumed, it sets its own share again.
    wall.rollouts.resume(NAME, by="carl")
    assert wall.simulate(1, lambda _planner: 0.0)[-1].after.status is Status.RUNNING


_BY_HAND: Definition = {
    "state": "ENABLED",
    "variants": {"new": _NEW, "old": "in_order"},
    "defaultVariant": "old",
    "targeting": {"if": [{"starts_with": [{"var": "targetingKey"}, "WALL0"]}, "new", "old"]},
}


@pytest.mark.parametrize("is_written_by_hand", [False, True])
def test_a_flag_that_was_set_outside_stays_as_it_is_and_the_rollout_can_be_ended(
    wall: RollingWall, engine: Engine, *, is_written_by_hand: bool
) -> None:
    flags = Flags(engine)
    with engine.begin() as connection:
        if is_written_by_hand:
            flags.set_definition(connection, "planner", _BY_HAND, by="carl", why="by hand")
        else:
            flags.set_all(connection, "planner", _NEW, by="carl", why="for all")
    wall.settler.settle(CODES)
    inside = _new(wall)
    # Also while its signals fail: nothing that the rollout set is left to be rolled back.
    for evaluation in wall.simulate(8, lambda planner: 0.7 if planner == _NEW else 0.0):
        assert evaluation.after.status is Status.PAUSED
        assert "it was set outside of the rollout" in evaluation.after.reason
    with pytest.raises(NotAllowedError, match="stop it, or set the flag back first"):
        wall.rollouts.resume(NAME, by="carl")
    assert wall.rollouts.one(NAME)[0].state.status is Status.PAUSED
    stopped = wall.rollouts.stop(NAME, by="carl", why="done")
    assert stopped.status is Status.STOPPED
    assert "stays as it is" in stopped.reason
    assert _new(wall) == inside
    with engine.begin() as connection:
        flags.set_all(connection, "planner", "in_order", by="carl", why="back")
    assert wall.rollouts.start(replace(PLAN, name="again"), by="carl").percent == 25.0


def test_several_evaluate_at_once_and_one_acts(wall: RollingWall) -> None:
    for _ in range(6):
        wall.play(lambda planner: 0.7 if planner == _NEW else 0.0)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: wall.rollouts.evaluate(NAME), range(4)))
    acted = [each for each in found if each is not None]
    assert [each.after.status for each in acted] == [Status.ROLLED_BACK]
    assert [change.status for change in wall.rollouts.one(NAME)[1]] == [
        Status.ROLLED_BACK,
        Status.RUNNING,
    ]
    assert _new(wall) == set()


def test_a_rollback_that_waits_in_vain_for_a_display_is_made_by_the_next_evaluation(
    wall: RollingWall, engine: Engine, settings: Settings
) -> None:
    for _ in range(6):
        wall.play(lambda planner: 0.7 if planner == _NEW else 0.0)
    brief = settings.model_copy(update={"lock_timeout_seconds": 1})
    impatient = create_database_engine(str(settings.database_url), brief)
    rollouts = Rollouts(impatient, Flags(impatient), wall.settler.settle, lambda: wall.now)
    with engine.begin() as connection:
        lock(connection, LockSpace.DISPLAY, _new(wall))
        with pytest.raises(OperationalError, match="lock timeout"):
            rollouts.evaluate(NAME)
    # Nothing of it is stored, so that it is due at once.
    assert rollouts.one(NAME)[0].evaluated_at is None
    assert rollouts.due() == [NAME]
    evaluation = rollouts.evaluate(NAME)
    impatient.dispose()
    assert evaluation is not None
    assert evaluation.after.status is Status.ROLLED_BACK
    assert _new(wall) == set()


def test_every_change_is_recorded_with_its_transaction(wall: RollingWall, engine: Engine) -> None:
    stored, recorded = _versions(engine)
    assert stored == recorded
    wall.rollouts.pause(NAME, by="anna", why="lunch")
    assert _versions(engine)[1] == _versions(engine)[0] != stored
    # A row that was edited by hand is found, and recorded.
    run(engine, "UPDATE rollouts SET percent = 26")
    assert _versions(engine)[1] != _versions(engine)[0]
    with engine.begin() as connection:
        record_rollouts(connection)
    assert _versions(engine)[1] == _versions(engine)[0]


def test_a_rollout_that_cannot_be_is_refused_before_anything_is_written(
    wall: RollingWall, engine: Engine
) -> None:
    before = run(engine, "SELECT * FROM flag_versions")
    for plan, problem in (
        (replace(PLAN, name="other"), "is being rolled out by gap; stop that first"),
        (replace(PLAN, value="best"), "can be in_order, creator_gap"),
        (replace(PLAN, flag="driver", value="new"), "by `sorafeed cutover --share`"),
        (replace(PLAN, name="a b"), "name: is 'a b'"),
    ):
        with pytest.raises(InvalidInputError, match=problem):
            wall.rollouts.start(plan, by="test")
    with pytest.raises(UnknownFlagError):
        wall.rollouts.start(replace(PLAN, flag="nothing"), by="test")
    with pytest.raises(RolloutNotFoundError, match="sorafeed rollout list"):
        wall.rollouts.pause("nothing", by="test", why="x")
    with pytest.raises(NotFoundError):
        wall.rollouts.evaluate("nothing")
    with pytest.raises(InvalidInputError, match="from 0 to 100"):
        wall.rollouts.force(NAME, 101.0, by="test", why="x")
    assert run(engine, "SELECT * FROM flag_versions") == before
    assert [each.plan.name for each in wall.rollouts.all()] == [NAME]


def test_a_flag_with_a_share_or_the_same_value_is_refused(
    wall: RollingWall, engine: Engine
) -> None:
    wall.rollouts.force(NAME, 40.0, by="test", why="x")
    run(engine, "UPDATE rollouts SET status = 'stopped'")
    again = replace(PLAN, name="again")
    with pytest.raises(InvalidInputError, match=r"has a share .* `sorafeed flags set planner"):
        wall.rollouts.start(again, by="test")
    # Nor is a display taken out that stays in a share of the flag.
    for percent in (40.0, 0.0):
        with engine.begin() as connection:
            Flags(engine).set_share(connection, "planner", percent, keep=True, by="test", why="x")
    assert Flags(engine).at_once().kept("planner")
    with pytest.raises(InvalidInputError, match="displays that it keeps"):
        wall.rollouts.start(again, by="test")
    with engine.begin() as connection:
        Flags(engine).set_all(connection, "planner", _NEW, by="test", why="x")
    with pytest.raises(InvalidInputError, match="which all displays have already"):
        wall.rollouts.start(again, by="test")
    with engine.begin() as connection:
        Flags(engine).set_all(connection, "planner", "in_order", by="test", why="x")
    with pytest.raises(InvalidInputError, match="is taken"):
        wall.rollouts.start(PLAN, by="test")
    assert wall.rollouts.start(again, by="test").percent == 25.0
