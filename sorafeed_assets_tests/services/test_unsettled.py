"""Late work: each reason appears with its change, and disappears when the work is done."""

from datetime import date, timedelta

import pytest
from sqlalchemy import Engine

from sorafeed_assets.services.settle import Settler
from sorafeed_assets.services.unsettled import (
    uncached_displays,
    unrecorded_assets,
    unrecorded_displays,
    waiting_displays,
)
from sorafeed_assets.storage.lineage_records import Change, taking, write_changes
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.wall import add_display, add_playlist, add_posts

_NOW = timedelta()
_LATER = timedelta(hours=1)
_ASSETS = ("active_playlists", "display_timelines", "timeline_cache")


@pytest.fixture
def settler(engine: Engine, settler: Settler) -> Settler:
    """Two displays that wait to be settled."""
    add_posts(engine, "cat video", 12)
    for name in ("AAAAA1", "BBBBB2"):
        add_display(engine, name)
        add_playlist(engine, name, [("cat video", 5)])
    return settler


def test_a_display_waits_until_it_is_settled(engine: Engine, settler: Settler) -> None:
    assert set(waiting_displays(engine, older_than=_NOW)) == {"AAAAA1", "BBBBB2"}
    settler.settle(["AAAAA1"])
    assert set(waiting_displays(engine, older_than=_NOW)) == {"BBBBB2"}
    # It has not waited for an hour, but no playlist was chosen for it yet.
    assert waiting_displays(engine, older_than=_LATER) == {"BBBBB2": "no playlist was chosen"}
    settler.settle(["BBBBB2"])
    assert waiting_displays(engine, older_than=_NOW) == {}


def test_a_plan_without_a_snapshot_is_uncached(engine: Engine, settler: Settler) -> None:
    settler.settle(["AAAAA1", "BBBBB2"])
    assert uncached_displays(engine) == {}
    add_playlist(engine, "AAAAA1", [("cat video", 3)])
    settler.activate(["AAAAA1"])
    settler.publish(["AAAAA1"])
    (version,) = [
        row.data_version
        for row in run(
            engine,
            "SELECT data_version FROM lineage_records WHERE asset = 'display_timelines'"
            " AND partition = 'AAAAA1' ORDER BY id DESC LIMIT 1",
        )
    ]
    assert uncached_displays(engine) == {"AAAAA1": version}
    settler.snapshot(["AAAAA1"])
    assert uncached_displays(engine) == {}


def test_records_wait_for_dagster_per_display(engine: Engine, settler: Settler) -> None:
    settler.settle(["AAAAA1"])
    assert unrecorded_displays(engine, older_than=_NOW) == {"AAAAA1"}
    assert unrecorded_displays(engine, older_than=_LATER) == set()
    for asset in ("playlists", *_ASSETS):
        with taking(engine, asset) as taken:
            assert {record.partition for record in taken.records} <= {"AAAAA1"}
    assert unrecorded_displays(engine, older_than=_NOW) == set()


def test_days_outside_the_catalogue_wait_for_their_partition(engine: Engine) -> None:
    first, last = date(2026, 3, 1), date(2026, 3, 2)
    days = ("2026-02-28", "2026-03-01", "2026-03-02", "2026-03-03")
    with engine.begin() as connection:
        write_changes(
            connection,
            [Change("video_counts_daily", day, "1") for day in days]
            + [Change("video_counts_by_search", "", "1"), Change("count_cache", "", "1")],
        )
    asked = ("video_counts_daily", "video_counts_by_search")
    late = unrecorded_assets(engine, asked, first, last, older_than=_NOW)
    assert set(late.since) == set(asked)
    assert late.days == (first, last)
    assert not unrecorded_assets(engine, asked, first, last, older_than=_LATER)
    only_outside = unrecorded_assets(
        engine, ["video_counts_daily"], date(2027, 1, 1), date(2027, 1, 2), older_than=_NOW
    )
    assert not only_outside
    assert only_outside.days == ()
