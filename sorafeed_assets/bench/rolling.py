"""How soon a bad value is gone: from the first bad evaluation to the last display's old plan.

`sorafeed react` is a process of its own, which evaluates, sets the share to 0 and plans again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Final
from uuid import uuid4

from sqlalchemy import Connection

from sorafeed_assets.bench.catalogue import Bench
from sorafeed_assets.bench.measuring import Row, Target, WrongResultError, row
from sorafeed_assets.bench.react_process import our_react
from sorafeed_assets.bench.react_wall import (
    Wall,
    end_wall,
    is_quiet,
    make_wall,
    react_settings,
    wait,
)
from sorafeed_assets.domain.flags.known import KNOWN, PLANNER
from sorafeed_assets.domain.rollouts.machine import Rollout, Status, Step
from sorafeed_assets.domain.rollouts.signals import Signal
from sorafeed_assets.services.cache.write import check_timeline_cache
from sorafeed_assets.services.flags import Flags
from sorafeed_assets.services.rollouts.rollouts import Rollouts
from sorafeed_assets.services.timelines.checks import check_plans, check_queues
from sorafeed_assets.storage.benchmarks import rolling as sql

_OLD: Final = KNOWN[PLANNER].default
_NEW: Final = "creator_gap"
_STEPS: Final = (Step(50.0, timedelta(hours=1)), Step(100.0, timedelta(0)))
_PLAYS: Final = 40


@dataclass(slots=True)
class RollbackCosts:
    """Seconds from a bad evaluation's request until it is decided, and until all is as before.

    ``displays`` are those of the wall, ``inside`` those of the share in each round.
    """

    displays: int
    inside: list[int] = field(default_factory=list)
    decided: list[float] = field(default_factory=list)
    replanned: list[float] = field(default_factory=list)


def measure_rollback(bench: Bench, posts: int, folder: Path) -> RollbackCosts:
    """Roll a planner out to half of the displays, skip all its videos, and wait."""
    engine = bench.catalogue(posts)
    settings = react_settings(bench, engine, folder)
    costs = RollbackCosts(bench.scale.displays + 1)
    for number in range(bench.scale.rounds):
        bench.redis.flushdb()
        try:
            wall = make_wall(bench, engine, settings, bench.scale.displays, 0)
            with our_react(settings, engine, folder / "react.log"):
                _measure(wall, costs)
        finally:
            end_wall(engine)
        bench.progress("Rolling back", number + 1, bench.scale.rounds)
    return costs


def _measure(wall: Wall, costs: RollbackCosts) -> None:
    engine = wall.engine
    flags = Flags(engine)
    with engine.begin() as connection:
        flags.set_all(connection, PLANNER, _OLD, by="bench", why="a new round")
    wait(lambda: is_quiet(engine), "what waits to be settled")
    plan = Rollout(f"bench-{uuid4().hex[:8]}", PLANNER, _NEW, _STEPS, frozenset({Signal.SKIPPED}))
    # `react` settles the displays, which the step has noted.
    Rollouts(engine, flags, lambda _displays: None).start(plan, by="bench")
    wait(lambda: is_quiet(engine), "the plans of the new planner")
    with _polling(wall) as connection:
        inside = sql.planned(connection).get(_NEW, 0)
        if not 0 < inside < costs.displays:
            raise WrongResultError(f"the share has {inside} of {costs.displays} displays")
        with engine.begin() as writing:
            sql.play_badly(writing, _NEW, _PLAYS)
            sql.make_due(writing, plan.name)
        started = perf_counter()
        wait(
            lambda: sql.status_of(connection, plan.name) == Status.ROLLED_BACK,
            "the evaluation",
        )
        costs.decided.append(perf_counter() - started)
        wait(lambda: sql.planned(connection) == {_OLD: costs.displays}, "the old planner")
        costs.replanned.append(perf_counter() - started)
        costs.inside.append(inside)
    wait(lambda: is_quiet(engine), "what waits to be recorded")
    _check(wall)


@contextmanager
def _polling(wall: Wall) -> Iterator[Connection]:
    with wall.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        yield connection


def _check(wall: Wall) -> None:
    """Raise unless queues, plans and snapshots are correct."""
    displays = [*wall.displays, wall.watching]
    problems = {
        **check_queues(wall.engine, displays, wall.settings.window),
        **check_plans(wall.engine, displays),
        **check_timeline_cache(wall.engine, wall.bench.redis, displays),
    }
    wrong = {name: problem for name, problem in problems.items() if problem}
    if wrong:
        raise WrongResultError(f"the state is wrong after a rollback: {wrong}")


def rollback_rows(costs: RollbackCosts) -> list[Row]:
    """The lines of the table about rollbacks."""
    inside = max(costs.inside)
    return [
        row(
            f"{inside:,} of {costs.displays:,} displays are rolled back: {until}",
            "s",
            taken,
            Target(ours_under=60),
            ours_is=max,
        )
        for until, taken in (
            ("a bad evaluation to its decision", costs.decided),
            ("a bad evaluation to the last display's old plan", costs.replanned),
        )
    ]
