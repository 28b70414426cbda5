"""The Redis snapshots equal Postgres, expire as configured, and are replaced without a gap."""

import json
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from sorafeed_assets.domain.errors import UnavailableError
from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.services.cache.write import (
    check_count_cache,
    check_timeline_cache,
    write_admin_snapshot,
    write_count_cache,
    write_timeline_cache,
)
from sorafeed_assets.services.playlists.deleting import delete_display
from sorafeed_assets.services.playlists.displays import create_display
from sorafeed_assets.storage.cache.redis import CHANGES, create_redis_client
from sorafeed_assets.storage.timelines.playback import set_playback_state
from sorafeed_assets_tests.cache_data import store_counts, store_queue

_TTL = 1000


def _loaded(redis: Redis, key: str) -> dict[str, object]:
    value = redis.get(key)
    assert isinstance(value, str)
    loaded = json.loads(value)
    assert isinstance(loaded, dict)
    return loaded


def test_counts_are_written_with_a_life(engine: Engine, redis: Redis) -> None:
    store_counts(engine, {"cat": 7, "a:b -ё": 0})
    first = write_count_cache(engine, redis, ttl=_TTL)
    assert (first.written, first.removed) == (6, 0)
    assert redis.mget("sorafeed:count:cat:mixed", "sorafeed:count:cat:wide") == ["7", "3"]
    assert redis.get("sorafeed:count:a:b -ё:tall") == "0"
    assert check_count_cache(engine, redis, ttl=_TTL) == []
    redis.expire("sorafeed:count:cat:mixed", 5)
    again = write_count_cache(engine, redis, ttl=_TTL)
    assert again.data_version == first.data_version
    assert redis.ttl("sorafeed:count:cat:mixed") > _TTL - 10


def test_only_what_changed_is_written_when_nothing_is_to_live_longer(
    engine: Engine, redis: Redis
) -> None:
    store_counts(engine, {"cat": 7, "dog": 8})
    write_count_cache(engine, redis, ttl=_TTL)
    store_counts(engine, {"cat": 7, "dog": 9})
    redis.delete("sorafeed:count:cat:tall")
    written = write_count_cache(engine, redis, ttl=2 * _TTL, prolong=False)
    assert check_count_cache(engine, redis, ttl=2 * _TTL) == []
    assert redis.ttl("sorafeed:count:dog:mixed") > _TTL
    assert redis.ttl("sorafeed:count:cat:tall") > _TTL
    assert redis.ttl("sorafeed:count:cat:mixed") <= _TTL
    assert written.written < 6
    assert write_count_cache(engine, redis, ttl=_TTL, prolong=False).written == 0


def test_terms_that_are_gone_leave_redis(engine: Engine, redis: Redis) -> None:
    redis.set("sorafeed:counter", "other")
    store_counts(engine, {"cat": 7, "dog": 8})
    first = write_count_cache(engine, redis, ttl=_TTL)
    store_counts(engine, {"cat": 7})
    second = write_count_cache(engine, redis, ttl=_TTL)
    assert (second.written, second.removed) == (3, 3)
    assert second.data_version != first.data_version
    assert not redis.exists("sorafeed:count:dog:mixed")
    store_counts(engine, {})
    assert write_count_cache(engine, redis, ttl=_TTL).removed == 3
    assert redis.keys("*") == ["sorafeed:counter"]


def test_a_reader_never_sees_a_gap_or_a_mixture(engine: Engine, redis: Redis) -> None:
    terms = [f"term {number}" for number in range(60)]
    keys = [f"sorafeed:count:{term}:mixed" for term in terms]
    store_counts(engine, dict.fromkeys(terms, 1))
    write_count_cache(engine, redis, ttl=_TTL)
    is_over = Event()

    def poll() -> list[set[object]]:
        seen: list[set[object]] = [set(redis.mget(keys))]
        while not is_over.is_set():
            seen.append(set(redis.mget(keys)))
        return seen

    with ThreadPoolExecutor(1) as pool:
        polling = pool.submit(poll)
        try:
            for number in range(2, 12):
                store_counts(engine, dict.fromkeys(terms, number))
                write_count_cache(engine, redis, ttl=_TTL)
        finally:
            is_over.set()
        seen = polling.result()
    assert len(seen) > 10
    assert all(len(values) == 1 and None not in values for values in seen)


def test_writers_at_once_leave_the_newest(engine: Engine, redis: Redis) -> None:
    store_counts(engine, {"cat": 0})
    with ThreadPoolExecutor(8) as pool:
        writes = []
        for number in range(1, 16):
            store_counts(engine, {"cat": number})
            writes.append(pool.submit(write_count_cache, engine, redis, ttl=_TTL))
        for write in writes:
            write.result()
    assert redis.get("sorafeed:count:cat:mixed") == "15"


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (("DEL", "sorafeed:count:cat:mixed"), "cat:mixed is missing"),
        (("SET", "sorafeed:count:cat:wide", "9", "EX", "10"), "cat:wide is '9', Postgres says '3'"),
        (("PERSIST", "sorafeed:count:cat:tall"), "cat:tall does not expire"),
        (("EXPIRE", "sorafeed:count:cat:tall", "5000"), "later than 1000 s"),
        (("SET", "sorafeed:count:old:tall", "1", "EX", "10"), "Postgres has no value"),
    ],
)
def test_the_count_check_tells_each_problem(
    engine: Engine, redis: Redis, command: tuple[str, ...], problem: str
) -> None:
    store_counts(engine, {"cat": 7})
    write_count_cache(engine, redis, ttl=_TTL)
    redis.execute_command(*command)  # type: ignore[no-untyped-call]  # redis has no types for it
    [found] = check_count_cache(engine, redis, ttl=_TTL)
    assert problem in found


def test_a_timeline_has_the_queue_in_order(engine: Engine, redis: Redis) -> None:
    for code in ("AAAAAA", "BBBBBB"):
        create_display(engine, code, "x")
    build = store_queue(engine, "AAAAAA", 3)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE timeline_videos SET status = 'played' WHERE timeline_position = 0")
        )
        connection.execute(text("UPDATE displays SET timeline_position = 1 WHERE id = 'AAAAAA'"))
    versions = write_timeline_cache(engine, redis, None, ttl=_TTL)
    full, empty = (_loaded(redis, f"sorafeed:timeline:{code}") for code in ("AAAAAA", "BBBBBB"))
    assert (full["build"], full["loop"], full["position"]) == (build, 0, 1)
    videos = full["videos"]
    assert isinstance(videos, list)
    assert [(v["timeline_position"], v["video_id"], v["status"]) for v in videos] == [
        (1, "v1", "queued"),
        (2, "v2", "queued"),
    ]
    assert videos[0]["video"] == {"text": 'ё "v1'}
    assert empty == {
        **dict.fromkeys(("build", "playlist_id")),
        **dict.fromkeys(("loop", "position"), 0),
        "version": "none",
        "videos": [],
    }
    assert 0 < redis.ttl("sorafeed:timeline:BBBBBB") <= _TTL
    assert write_timeline_cache(engine, redis, ["AAAAAA"], ttl=_TTL) == {
        "AAAAAA": versions["AAAAAA"]
    }
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE timeline_videos SET status = 'playing' WHERE timeline_position = 1")
        )
    # Another position in the same plan has the same version, but is written.
    assert write_timeline_cache(engine, redis, ["AAAAAA"], ttl=_TTL) == {
        "AAAAAA": versions["AAAAAA"]
    }
    videos = _loaded(redis, "sorafeed:timeline:AAAAAA")["videos"]
    assert isinstance(videos, list)
    assert videos[0]["status"] == "playing"


def _keys_in(redis: Redis) -> list[str]:
    keys = [*redis.keys("sorafeed:timeline:*"), *redis.keys("sorafeed:playback:*")]
    return sorted(map(str, keys))


def test_displays_that_are_gone_leave_redis(engine: Engine, redis: Redis) -> None:
    for code in ("AAAAAA", "BBBBBB", "CCCCCC"):
        create_display(engine, code, "x")
    write_timeline_cache(engine, redis, None, ttl=_TTL)
    delete_display(engine, "AAAAAA")
    delete_display(engine, "BBBBBB")
    assert write_timeline_cache(engine, redis, ["AAAAAA"], ttl=_TTL) == {}
    # The version key stays, so that no older snapshot is written afterwards.
    assert redis.exists("sorafeed:version:AAAAAA")
    assert _keys_in(redis) == _keys_of("BBBBBB", "CCCCCC")
    write_timeline_cache(engine, redis, None, ttl=_TTL)
    assert _keys_in(redis) == _keys_of("CCCCCC")


def _keys_of(*codes: str) -> list[str]:
    return sorted(f"sorafeed:{kind}:{code}" for kind in ("playback", "timeline") for code in codes)


def test_a_playback_state_is_written_over_an_older_one(engine: Engine, redis: Redis) -> None:
    create_display(engine, "AAAAAA", "x")
    versions = write_timeline_cache(engine, redis, None, ttl=_TTL)
    assert redis.get("sorafeed:playback:AAAAAA") == "playing"
    with engine.begin() as connection:
        set_playback_state(connection, "AAAAAA", "paused")
    with redis.pubsub(ignore_subscribe_messages=True) as channel:  # type: ignore[no-untyped-call]  # redis has none
        channel.subscribe(CHANGES)
        assert write_timeline_cache(engine, redis, None, ttl=_TTL) == versions
        told = [message for _ in range(2) if (message := channel.get_message(timeout=5))]
    assert redis.get("sorafeed:playback:AAAAAA") == "paused"
    assert redis.ttl("sorafeed:playback:AAAAAA") > 0
    assert [message["data"] for message in told] == ['["display:AAAAAA"]']


def test_the_timeline_check_tells_each_problem(engine: Engine, redis: Redis) -> None:
    for code in ("AAAAAA", "BBBBBB", "CCCCCC"):
        create_display(engine, code, "x")
    store_queue(engine, "AAAAAA", 2)
    write_timeline_cache(engine, redis, None, ttl=_TTL)
    assert check_timeline_cache(engine, redis, ["AAAAAA"]) == {"AAAAAA": []}
    redis.set("sorafeed:timeline:AAAAAA", "{}", ex=10)
    redis.delete("sorafeed:timeline:BBBBBB")
    redis.set("sorafeed:timeline:DDDDDD", "{}", ex=10)
    found = check_timeline_cache(engine, redis, ["AAAAAA", "BBBBBB", "CCCCCC", "DDDDDD"], ttl=_TTL)
    assert "Postgres says" in found["AAAAAA"][0]
    assert "is missing" in found["BBBBBB"][0]
    assert found["CCCCCC"] == []
    assert "Postgres has no value" in found["DDDDDD"][0]


def test_the_admin_snapshot_has_everything(engine: Engine, redis: Redis) -> None:
    create_display(engine, "AAAAAA", "Lobby")
    build = store_queue(engine, "AAAAAA", 3)
    store_counts(engine, {"cat": 7})
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO catalog_days VALUES ('2026-01-01', 1, 40, now()),"
                " ('2026-01-02', 1, 2, now())"
            )
        )
        connection.execute(text("INSERT INTO search_terms (term, phrase) VALUES ('new', 'new')"))
    version = write_admin_snapshot(engine, redis, ttl=_TTL)
    assert _loaded(redis, "sorafeed:admin:snapshot") == {
        "displays": [
            {
                "id": "AAAAAA",
                "name": "Lobby",
                "status": "offline",
                "playlist": "Evening",
                "queued": 3,
                "position": 0,
                "loop": 0,
                "build": build,
                "dry_blocks": [2],
            }
        ],
        "totals": {"posts": 42, "terms": 2, "counted_terms": 1},
        "counts": {"cat": {"mixed": 7, "wide": 3, "tall": 0}},
    }
    with engine.begin() as connection:
        connection.execute(text("REFRESH MATERIALIZED VIEW video_counts_by_search"))
    assert write_admin_snapshot(engine, redis, ttl=_TTL) == version
    assert 0 < redis.ttl("sorafeed:admin:snapshot") <= _TTL


def test_an_empty_system_has_an_empty_snapshot(engine: Engine, redis: Redis) -> None:
    write_admin_snapshot(engine, redis, ttl=_TTL)
    assert _loaded(redis, "sorafeed:admin:snapshot") == {
        "displays": [],
        "totals": {"posts": 0, "terms": 0, "counted_terms": 0},
        "counts": {},
    }


def test_without_redis_writers_say_so(engine: Engine) -> None:
    store_counts(engine, {"cat": 1})
    with create_redis_client(f"redis://127.0.0.1:{free_port()}/0") as away:
        for write in (write_count_cache, write_timeline_cache, write_admin_snapshot):
            with pytest.raises(UnavailableError, match="does not answer"):
                write(engine, away, ttl=_TTL)
