"""The leading `react` evaluates rollouts, rolls back, and records each step."""

import logging

import dagster as dg
import pytest
from sqlalchemy import Engine

from sorafeed_assets.services.flags import Flags
from sorafeed_assets.services.rollouts.rollouts import Rollouts
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.cli.running import wait_until
from sorafeed_assets_tests.launch.reacting import (
    assert_recorded_once,
    events_of,
    is_quiet,
    reacting,
)
from sorafeed_assets_tests.services.rollouts.rolling import PLAN
from sorafeed_assets_tests.wall import add_display, add_playlist, add_posts

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
_PLANNERS = """
SELECT DISTINCT b.planner FROM displays d JOIN timeline_builds b ON b.id = d.active_build_id
ORDER BY 1
"""
# Many plays of each display; those that the new planner planned were skipped.
_PLAYS = """
INSERT INTO video_history (display_id, video_id, loop_iteration, was_skipped, timeline_video_id)
SELECT d.id, 'p' || n, 0, b.planner = 'creator_gap', uuidv7()
FROM displays d JOIN timeline_builds b ON b.id = d.active_build_id, generate_series(1, 40) AS n
"""


def test_a_bad_value_is_rolled_back_and_recorded(
    engine: Engine,
    addressed: Settings,
    instance: dg.DagsterInstance,
    caplog: pytest.LogCaptureFixture,
) -> None:
    add_posts(engine, "cat video", 40)
    for number in range(24):
        add_display(engine, f"WALL{number:02}")
        add_playlist(engine, f"WALL{number:02}", [("cat video", 5)])
    with reacting(addressed, instance), caplog.at_level(logging.WARNING, "sorafeed_assets"):
        wait_until(lambda: run(engine, _PLANNERS) == [("in_order",)], "plans")
        wait_until(lambda: is_quiet(engine), "nothing to wait")
        # Without a settler: the displays of a step are noted, so that react settles them.
        Rollouts(engine, Flags(engine), lambda _displays: None).start(PLAN, by="test")
        wait_until(lambda: len(run(engine, _PLANNERS)) == 2, "plans of both planners")
        run(engine, _PLAYS)
        run(engine, "UPDATE rollouts SET evaluated_at = NULL")
        wait_until(
            lambda: run(engine, "SELECT status FROM rollouts") == [("rolled_back",)], "the end"
        )
        wait_until(lambda: run(engine, _PLANNERS) == [("in_order",)], "the old planner")
        wait_until(lambda: is_quiet(engine), "nothing to wait")
        wait_until(lambda: len(events_of(instance, "rollouts")) == 2, "both steps")
    assert_recorded_once(addressed, instance)
    assert "rollout gap is rolled_back: skipped: worse in the share" in caplog.text
