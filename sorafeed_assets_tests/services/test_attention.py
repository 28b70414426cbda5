"""What is read of stored displays: repeats of their plans, and snapshots that are behind."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine

from sorafeed_assets.services.attention import Attention, Severity, read_attention
from sorafeed_assets.services.flags import FlagValues
from sorafeed_assets.services.settle import Settler
from sorafeed_assets.services.timelines.repeats import RepeatedSearches
from sorafeed_assets.storage.cache.snapshots import displays_behind
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.wall import add_display, add_playlist, add_posts

_FINE = Attention(Severity.NONE, (), None)


@pytest.fixture
def settler(engine: Engine, settler: Settler) -> Settler:
    """Two displays, of which one repeats videos in a loop."""
    add_posts(engine, "cat video", 12)
    add_posts(engine, "rare bird", 2)
    add_display(engine, "AAAAA1")
    add_playlist(engine, "AAAAA1", [("cat video", 5)])
    add_display(engine, "BBBBB2")
    add_playlist(engine, "BBBBB2", [("rare bird", 5), ("cat video", 3)])
    settler.settle(["AAAAA1", "BBBBB2"])
    return settler


def test_a_block_that_plays_more_than_match_repeats(engine: Engine, settler: Settler) -> None:
    assert read_attention(engine, FlagValues()) == {
        "AAAAA1": _FINE,
        "BBBBB2": Attention(
            Severity.DEGRADED,
            ("Too few posts match “rare bird”: its block repeats videos.",),
            None,
        ),
    }
    add_posts(engine, "rare bird", 5, prefix="later", day=1)
    add_playlist(engine, "BBBBB2", [("rare bird", 5)])
    settler.settle(["BBBBB2"])
    assert read_attention(engine, FlagValues())["BBBBB2"] == _FINE


def test_a_plan_is_read_once(engine: Engine, settler: Settler) -> None:
    builds = {row.id: row.active_build_id for row in run(engine, "SELECT * FROM displays")}
    repeats = RepeatedSearches()
    with engine.begin() as connection:
        first = repeats.of_builds(connection, builds)
        assert first == {"BBBBB2": ["rare bird"]}
        connection.exec_driver_sql("ALTER TABLE timeline_builds RENAME TO not_read_again")
        assert repeats.of_builds(connection, builds) == first
        connection.rollback()


def test_a_snapshot_is_behind_when_its_plan_is_newer(engine: Engine, settler: Settler) -> None:
    def behind(age: timedelta, *codes: str) -> set[str]:
        with engine.connect() as connection:
            return displays_behind(connection, codes or None, age)

    assert behind(timedelta()) == set()
    add_playlist(engine, "AAAAA1", [("cat video", 3)])
    settler.activate(["AAAAA1"])
    settler.publish(["AAAAA1"])
    assert behind(timedelta()) == behind(timedelta(), "AAAAA1", "BBBBB2") == {"AAAAA1"}
    assert behind(timedelta(), "BBBBB2") == set()
    # Settling writes the snapshot soon after the plan.
    assert behind(timedelta(hours=1)) == set()
    run(engine, "UPDATE lineage_records SET created_at = created_at - interval '1 min'")
    assert read_attention(engine, FlagValues())["AAAAA1"] == Attention(
        Severity.DEGRADED, ("Its snapshot in Redis is older than its plan.",), None
    )
    settler.snapshot(["AAAAA1"])
    assert behind(timedelta()) == set()
