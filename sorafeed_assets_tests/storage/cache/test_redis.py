"""The Redis client and its errors, on a real Valkey."""

from pathlib import Path

import pytest
from redis import Redis

from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.errors import SetupError, UnavailableError
from sorafeed_assets.launch.embedded import EmbeddedRedis
from sorafeed_assets.storage.cache.redis import (
    count_key,
    create_redis_client,
    matching_keys,
    read_with_ttl,
    redis_errors,
    timeline_key,
    write_snapshots,
)


def test_keys_are_named_as_designed() -> None:
    assert count_key("movie trailer -cat", Format.WIDE) == "sorafeed:count:movie trailer -cat:wide"
    assert count_key("a:b", "mixed") == "sorafeed:count:a:b:mixed"
    assert timeline_key("AAAAAA") == "sorafeed:timeline:AAAAAA"


def test_snapshots_replace_and_remove(redis: Redis) -> None:
    write_snapshots(redis, {"x:1": "old", "x:2": "ж"}, (), ttl=100)
    assert write_snapshots(redis, {"x:1": "new"}, {"x:2", "x:3"}, ttl=200) == 1
    assert matching_keys(redis, "x:*") == {"x:1"}
    [(value, left)] = read_with_ttl(redis, ["x:1", "x:2"]).values()
    assert value == "new"
    assert 190 <= left <= 200


def test_many_keys_at_once(redis: Redis) -> None:
    values = {f"x:{number}": str(number) for number in range(2500)}
    write_snapshots(redis, values, (), ttl=100)
    found = read_with_ttl(redis, list(values))
    assert {key: value for key, (value, _) in found.items()} == values
    assert matching_keys(redis, "x:*") == values.keys()


def test_nothing_to_write_asks_nothing(redis: Redis) -> None:
    assert write_snapshots(redis, {}, (), ttl=1) == 0


def test_a_server_that_is_away_is_named(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path / "redis", persist=False)
    server.start()
    url = server.url
    with create_redis_client(url) as client:
        client.set("x", "1")
        server.stop()
        with pytest.raises(UnavailableError, match=r"Redis at 127\.0\.0\.1:\d+ does not answer"):  # noqa: SIM117  # the client must outlive the server
            with redis_errors(client):
                client.get("x")


def test_a_refused_command_is_told(redis: Redis) -> None:
    redis.set("x", "1")
    with pytest.raises(UnavailableError, match="refused a command"), redis_errors(redis):
        redis.lpush("x", "1")


def test_a_bad_address_is_refused() -> None:
    with pytest.raises(SetupError, match="SORAFEED_REDIS_URL"):
        create_redis_client("http://localhost")
