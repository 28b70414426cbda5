"""Failing requests of the whole API, from a real Prometheus, decide a rollout; or nothing does."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import Engine

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.rollouts.comparing import Verdict
from sorafeed_assets.domain.rollouts.machine import Status
from sorafeed_assets.domain.rollouts.signals import OF_DISPLAYS, Signal
from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.services.flags import Flags
from sorafeed_assets.services.rollouts.rollouts import Evaluation, Rollouts
from sorafeed_assets.serving.http.metrics import Metrics
from sorafeed_assets.storage.prometheus import Prometheus
from sorafeed_assets_tests.prometheus import SCRAPED, Scrape, needs_prometheus, prometheus_of
from sorafeed_assets_tests.services.rollouts.rolling import NAME, PLAN, RollingWall

_HOUR = timedelta(hours=1)
_PLAN = replace(PLAN, signals=frozenset({Signal.SERVER_ERRORS}))


@pytest.fixture
def wall(engine: Engine, redis: Redis) -> RollingWall:
    return RollingWall(engine, redis)


def _with(wall: RollingWall, prometheus: Prometheus | None) -> Rollouts:
    flags = Flags(wall.engine)
    return Rollouts(wall.engine, flags, wall.settler.settle, lambda: wall.now, prometheus)


def _past(until: datetime, bad: datetime) -> Iterator[Scrape]:
    """Three hours of 400 requests a minute: one of 100 fails, from ``bad`` on a quarter."""
    metrics, at = Metrics(), until - 3 * _HOUR
    while at <= until:
        yield at, metrics
        failing = 25 if at >= bad else 1
        for request in range(100):
            metrics.answered("/graphql", 500 if request < failing else 200, 0.01)
        at += SCRAPED


def _evaluate(wall: RollingWall, rollouts: Rollouts, minutes: int) -> Evaluation:
    wall.now += timedelta(minutes=minutes)
    found = rollouts.evaluate(NAME)
    assert found is not None
    return found


@needs_prometheus
def test_a_server_that_fails_more_often_since_a_step_rolls_back(
    wall: RollingWall, tmp_path: Path
) -> None:
    now, began = wall.now, wall.now - _HOUR
    wall.now = began
    with prometheus_of(tmp_path, _past(now, bad=began + timedelta(minutes=10))) as url:
        rollouts = _with(wall, Prometheus(url))
        assert rollouts.signals == frozenset(Signal)
        rollouts.start(_PLAN, by="test")
        early = _evaluate(wall, rollouts, 2)
        assert early.verdict is Verdict.INCONCLUSIVE
        assert "too little data: 2 and 60 minutes" in early.comparisons[0].why
        passed = _evaluate(wall, rollouts, 4)
        assert passed.verdict is Verdict.PASS
        assert "not worse since the step began" in passed.comparisons[0].why
        assert passed.after.step == 1
        failed = _evaluate(wall, rollouts, 12)
    assert failed.after.status is Status.ROLLED_BACK
    assert "server_errors: worse since the step began" in failed.after.reason
    assert "before the rollout" in failed.after.reason
    assert set(wall.planners().values()) == {"in_order"}


def test_without_an_answer_a_step_waits(wall: RollingWall) -> None:
    rollouts = _with(wall, Prometheus(f"http://127.0.0.1:{free_port()}"))
    rollouts.start(_PLAN, by="test")
    for gone, why in ((rollouts, "does not answer"), (_with(wall, None), "is not set")):
        found = _evaluate(wall, gone, 30)
        assert (found.verdict, found.after) == (Verdict.INCONCLUSIVE, found.before)
        assert why in found.comparisons[0].why
    stored, _ = rollouts.one(NAME)
    assert [c.why for c in stored.comparisons] == ["not known: SORAFEED_PROMETHEUS_URL is not set"]


def test_without_an_address_the_signal_is_refused(wall: RollingWall) -> None:
    rollouts = _with(wall, None)
    assert rollouts.signals == OF_DISPLAYS
    with pytest.raises(InvalidInputError, match="server_errors needs Prometheus; set SORAFEED_PR"):
        rollouts.start(_PLAN, by="test")
    assert rollouts.all() == []
