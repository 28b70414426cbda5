"""`sorafeed react` settles the displays that a changed flag concerns, and leaves old ones alone."""

import dagster as dg
import pytest
from sqlalchemy import Engine

from sorafeed_assets.domain.flags.known import DRIVER, PLANNER
from sorafeed_assets.launch import react as react_module
from sorafeed_assets.services.flags import Flags
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.timelines.queues import load_planners
from sorafeed_assets_tests.catalogue import queue_of, run, videos_of
from sorafeed_assets_tests.cli.running import wait_until
from sorafeed_assets_tests.launch.reacting import (
    add_wall,
    assert_recorded_once,
    is_quiet,
    reacting,
)
from sorafeed_assets_tests.wall import add_display, add_playlist

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


def test_a_changed_flag_reaches_its_displays(
    engine: Engine,
    addressed: Settings,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Neither the regular look at all queues nor the repair is needed.
    monkeypatch.setattr(react_module, "_QUEUES_SECONDS", 3_600.0)
    flags = Flags(engine)

    def planners() -> dict[str, str]:
        with engine.connect() as connection:
            return load_planners(connection)

    with reacting(addressed, instance):
        add_wall(engine)
        add_display(engine, "BBBBB2")
        add_playlist(engine, "BBBBB2", [("cat video", 8)], mode="random")
        wait_until(lambda: len(planners()) == 2, "two plans")
        with engine.begin() as connection:
            flags.set_displays(
                connection, PLANNER, ["BBBBB2"], "creator_gap", by="test", why="try it"
            )
        wait_until(
            lambda: planners() == {"AAAAA1": "in_order", "BBBBB2": "creator_gap"}, "its planner"
        )
        with engine.begin() as connection:
            flags.set_displays(connection, DRIVER, ["AAAAA1"], "old", by="test", why="back")
        queued = queue_of(engine, "AAAAA1")
        run(engine, "UPDATE playlist_blocks SET video_count = 3 WHERE fetch_mode = 'newest'")
        # Settled after the edit above, so the edit was looked at too.
        add_playlist(engine, "BBBBB2", [("video number", 2)])
        wait_until(lambda: is_quiet(engine), "nothing to wait")
        wait_until(lambda: len(videos_of(engine, "BBBBB2")) == 5, "the other display's queue")
        assert queue_of(engine, "AAAAA1") == queued
    assert_recorded_once(addressed, instance)
