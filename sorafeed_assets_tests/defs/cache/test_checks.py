"""Checks of the caches: each passes on a healthy wall and names a planted fault."""

from sqlalchemy import Engine

from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.defs.conftest import Dagster

COUNTS = "count_cache:count_cache_equals_view"
TIMELINES = "timeline_cache:timeline_cache_equals_queue"


def test_count_cache_equals_view(wall: Dagster) -> None:
    redis, key = wall.connections.redis, "sorafeed:count:cat video:mixed"
    assert wall.culprits(COUNTS) == ""
    redis.set(key, "13", ex=100)
    assert wall.culprits(COUNTS) == f"{key} is '13', Postgres says '12'"
    redis.set(key, "12")
    assert wall.culprits(COUNTS) == f"{key} does not expire"
    redis.set(key, "12", ex=10_000_000)
    assert wall.culprits(COUNTS).startswith(f"{key} expires in ")
    redis.set(key, "12", ex=100)
    redis.set("sorafeed:count:nobody asks:wide", "1", ex=100)
    assert wall.culprits(COUNTS).startswith("sorafeed:count:nobody asks:wide exists, but")
    redis.flushall()
    assert f"{key} is missing" in wall.culprits(COUNTS)


def test_timeline_cache_equals_queue(engine: Engine, wall: Dagster) -> None:
    redis, key = wall.connections.redis, "sorafeed:timeline:BBBBB2"
    assert wall.culprits(TIMELINES) == ""
    redis.persist(key)
    assert wall.culprits(TIMELINES) == f"BBBBB2: {key} does not expire"
    redis.delete(key)
    assert wall.culprits(TIMELINES) == f"BBBBB2: {key} is missing"
    run(engine, "DELETE FROM timeline_videos WHERE display_id = 'AAAAA1'"
                " AND queue_slot = 4")  # fmt: skip
    assert "AAAAA1: sorafeed:timeline:AAAAA1 is" in wall.culprits(TIMELINES)
