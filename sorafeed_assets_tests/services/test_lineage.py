"""The stored data versions of every asset."""

import pytest
from redis import Redis
from sqlalchemy import Engine

from sorafeed_assets.services.lineage import POSTS, StoredLineage, read_stored
from sorafeed_assets.services.settle import PER_DISPLAY, Settler
from sorafeed_assets.storage.cache.redis import create_redis_client, timeline_key
from sorafeed_assets.storage.lineage_records import heads
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.wall import add_display, add_playlist, add_posts

_NOBODY = "redis://127.0.0.1:1/0"


@pytest.fixture
def settler(engine: Engine, settler: Settler) -> Settler:
    """A display that waits to be settled."""
    add_posts(engine, "cat video", 12)
    add_display(engine, "AAAAA1")
    add_playlist(engine, "AAAAA1", [("cat video", 5)])
    return settler


def _settle(settler: Settler) -> None:
    """Settle until nothing is left: new terms are counted, and their displays planned again."""
    while settler.settle_changed() or settler.count_waiting_terms():
        pass
    settler.cache_counts()
    settler.cache_overview()


def test_what_is_stored_is_what_the_changes_recorded(
    engine: Engine, redis: Redis, settler: Settler
) -> None:
    assert read_stored(engine, redis).unsettled == {"AAAAA1"}
    _settle(settler)
    stored = read_stored(engine, redis)
    assert stored.unsettled == frozenset()
    with engine.connect() as connection:
        known = heads(connection)
    for asset, versions in stored.versions.items():
        for partition, version in versions.items():
            assert known[asset][partition] == version, (asset, partition)
            # No recorder has run.
            assert stored.is_waiting(asset, partition)
    assert set(stored.versions["timeline_cache"]) == {"AAAAA1"}
    assert stored.versions["video_counts_daily"].keys() == {"2026-03-01"}


def test_a_lost_snapshot_is_another_version(engine: Engine, redis: Redis, settler: Settler) -> None:
    _settle(settler)
    before = read_stored(engine, redis).versions["timeline_cache"]["AAAAA1"]
    redis.delete(timeline_key("AAAAA1"))
    assert read_stored(engine, redis).versions["timeline_cache"].get("AAAAA1") != before
    settler.cache_timelines(["AAAAA1"])
    assert read_stored(engine, redis).versions["timeline_cache"]["AAAAA1"] == before


def test_without_redis_only_its_assets_are_left_out(
    engine: Engine, redis: Redis, settler: Settler
) -> None:
    _settle(settler)
    stored, away = read_stored(engine, redis), read_stored(engine, create_redis_client(_NOBODY))
    gone = stored.versions.keys() - away.versions.keys()
    assert gone == {"timeline_cache", "count_cache", "admin_snapshot"}
    assert away == read_stored(engine, None)


def test_a_display_that_waits_to_be_settled_waits_in_its_assets_alone(
    engine: Engine, redis: Redis, settler: Settler
) -> None:
    _settle(settler)
    run(engine, "UPDATE lineage_records SET recorded_at = now()")
    add_playlist(engine, "AAAAA1", [("cat video", 3)])
    stored = read_stored(engine, redis)
    for asset in stored.versions:
        assert stored.is_waiting(asset, "AAAAA1") == (asset in PER_DISPLAY), asset


@pytest.mark.parametrize(
    ("recorded", "is_allowed"),
    [("6", False), ("7", True), ("8", True), ("9", True), ("10", False), ("none", False),
     ("seven", False)],
)  # fmt: skip
def test_an_observation_of_posts_may_be_as_old_as_what_was_counted(
    recorded: str, *, is_allowed: bool
) -> None:
    day = "2026-03-01"
    stored = StoredLineage({POSTS: {day: "9"}}, {}, frozenset(), {day: "7"})
    assert stored.allows(POSTS, day, recorded) == is_allowed


def test_a_day_that_was_never_counted_may_be_recorded_as_empty() -> None:
    stored = StoredLineage({POSTS: {"2026-03-01": "9"}}, {}, frozenset(), {})
    assert stored.allows(POSTS, "2026-03-01", "none")
    assert stored.allows(POSTS, "2026-03-02", "none")
