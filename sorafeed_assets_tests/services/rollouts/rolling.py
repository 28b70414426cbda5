"""A wall in a real database that plays through simulated minutes under a rollout."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from redis import Redis
from sqlalchemy import Engine

from sorafeed_assets.domain.rollouts.machine import ENDED, Rollout, Step
from sorafeed_assets.domain.rollouts.signals import OF_DISPLAYS
from sorafeed_assets.domain.timelines.plan import PlanResult
from sorafeed_assets.domain.timelines.planners import PLANNERS, Planners
from sorafeed_assets.domain.timelines.planners.creator_gap import CREATOR_GAP, CreatorGap
from sorafeed_assets.services.flags import Flags
from sorafeed_assets.services.rollouts.rollouts import Evaluation, Rollouts
from sorafeed_assets.services.settle import Settler
from sorafeed_assets.services.timelines.advancing import Play
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.wall import add_display, add_playlist, add_posts

CODES = tuple(f"WALL{number:02}" for number in range(48))
NAME = "gap"
STEPS = (
    Step(25.0, timedelta(minutes=5)),
    Step(50.0, timedelta(minutes=5)),
    Step(100.0, timedelta(0)),
)
PLAN = Rollout(NAME, "planner", "creator_gap", STEPS, OF_DISPLAYS)
_HEADS = """
SELECT d.id, d.current_timeline_video_id AS entry, b.planner
FROM displays d JOIN timeline_builds b ON b.id = d.active_build_id
WHERE d.current_timeline_video_id IS NOT NULL ORDER BY d.id
"""
_PLANNERS = """
SELECT d.id, b.planner FROM displays d JOIN timeline_builds b ON b.id = d.active_build_id
"""
_PLAYS_A_MINUTE = 2

Skips = Callable[[str], float]
"""How likely a video is skipped, by the planner of its display's plan."""


class Repeating(CreatorGap):
    """A planner that is bad on purpose: the first video of a plan, again and again."""

    def plan_loop(self, *inputs: Any, **more: Any) -> PlanResult:
        """Plan as the good one, and repeat."""
        result = super().plan_loop(*inputs, **more)
        picks = result.plan.picks
        first = picks[0].post_id if picks else ""
        again = tuple(replace(pick, post_id=first) for pick in picks)
        return replace(result, plan=replace(result.plan, picks=again))


BAD: Planners = {**PLANNERS, CREATOR_GAP.name: Repeating()}


class RollingWall:
    """Displays, a rollout of the second planner, and a clock that a test turns."""

    def __init__(self, engine: Engine, redis: Redis, planners: Planners = PLANNERS) -> None:
        self.engine = engine
        self.now = datetime.now(UTC)
        flags = Flags(engine)
        self.timelines = TimelineService(engine, flags=flags, planners=planners)
        self.settler = Settler(engine, redis, self.timelines, ttl=3600)
        self.rollouts = Rollouts(engine, flags, self.settler.settle, clock=lambda: self.now)
        self._random = np.random.default_rng(7)
        add_posts(engine, "cat video", 500)
        for code in CODES:
            add_display(engine, code)
            add_playlist(engine, code, [("cat video", 20)], mode="random")
        while self.settler.settle_changed():
            pass

    def play(self, skips: Skips) -> None:
        """Let a minute pass, in which every display plays."""
        for part in range(_PLAYS_A_MINUTE):
            at = self.now + timedelta(minutes=(part + 0.5) / _PLAYS_A_MINUTE)
            plays = [
                Play(row.id, row.entry, bool(self._random.random() < skips(row.planner)), at)
                for row in run(self.engine, _HEADS)
            ]
            answers = self.timelines.playback.advance_at_once(
                plays, lambda _ids: (), plans=True
            ).answers
            assert None not in answers
        self.now += timedelta(minutes=1)

    def simulate(self, minutes: int, skips: Skips) -> list[Evaluation]:
        """Play and evaluate every minute, until the rollout has ended or the time is over."""
        found: list[Evaluation] = []
        for _ in range(minutes):
            self.play(skips)
            evaluation = self.rollouts.evaluate(NAME)
            assert evaluation is not None
            found.append(evaluation)
            if evaluation.after.status in ENDED:
                break
        return found

    def planners(self) -> Mapping[str, str]:
        """Display → the planner of the plan that it plays."""
        return {row.id: row.planner for row in run(self.engine, _PLANNERS)}
