"""The admin snapshot is read from Redis without PostgreSQL; invalid values are ignored."""

import pytest
from redis import Redis
from sqlalchemy import Engine

from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.services.cache.read import cached_admin_snapshot
from sorafeed_assets.services.cache.write import write_admin_snapshot
from sorafeed_assets.storage.cache.redis import create_redis_client
from sorafeed_assets_tests.cache_data import store_counts
from sorafeed_assets_tests.statements import statements_of


def test_redis_answers_without_postgres(engine: Engine, redis: Redis) -> None:
    store_counts(engine, {"movie trailer": 7})
    write_admin_snapshot(engine, redis, ttl=1000)
    with statements_of(engine) as seen:
        snapshot = cached_admin_snapshot(redis)
    assert snapshot is not None
    assert snapshot["counts"] == {"movie trailer": {"mixed": 7, "tall": 0, "wide": 3}}
    assert seen == []


def test_a_missing_snapshot_is_none(redis: Redis) -> None:
    assert cached_admin_snapshot(redis) is None


@pytest.mark.parametrize("rubbish", ["", "seven", "[1]", "{"])
def test_rubbish_is_no_snapshot(redis: Redis, rubbish: str) -> None:
    redis.set("sorafeed:admin:snapshot", rubbish)
    assert cached_admin_snapshot(redis) is None


def test_a_redis_that_is_away_has_no_snapshot() -> None:
    with create_redis_client(f"redis://127.0.0.1:{free_port()}/0") as redis:
        assert cached_admin_snapshot(redis) is None
