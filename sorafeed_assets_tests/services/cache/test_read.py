"""Readers get an answer with and without Redis, and many who wait cost one query."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from redis import Redis
from redis.typing import KeyT
from sqlalchemy import Connection, Engine, event, text

from sorafeed_assets.domain.errors import InvalidInputError, NotFoundError, UnavailableError
from sorafeed_assets.launch.embedded import EmbeddedRedis, free_port
from sorafeed_assets.services.cache.read import CacheReader, SingleFlight
from sorafeed_assets.services.cache.write import write_admin_snapshot, write_count_cache
from sorafeed_assets.services.playlists.editing import create_display
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.cache.redis import create_redis_client
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets_tests.cache_data import store_counts, store_queue

_TTL = 1000


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with create_redis_client(redis_url) as client:
        yield client


@pytest.fixture
def reader(engine: Engine, redis: Redis) -> CacheReader:
    return CacheReader(engine, redis, ttl=_TTL)


@contextmanager
def _queries(engine: Engine) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)


def test_redis_answers_without_postgres(engine: Engine, redis: Redis, reader: CacheReader) -> None:
    store_counts(engine, {"movie trailer": 7})
    write_count_cache(engine, redis, ttl=_TTL)
    write_admin_snapshot(engine, redis, ttl=_TTL)
    with _queries(engine) as seen:
        assert reader.count("  Movie  TRAILER ") == 7
        assert reader.count("movie trailer", "wide") == 3
        assert reader.admin()["counts"] == {"movie trailer": {"mixed": 7, "tall": 0, "wide": 3}}
    assert seen == []


def test_a_missing_key_is_filled_from_postgres(
    engine: Engine, redis: Redis, reader: CacheReader
) -> None:
    create_display(engine, "AAAAAA", "x")
    build = store_queue(engine, "AAAAAA", 2)
    store_counts(engine, {"cat": 7})
    with _queries(engine) as seen:
        for _ in range(2):
            assert reader.count("cat") == 7
            assert reader.timeline("AAAAAA")["build"] == build
            assert len(reader.admin()["displays"]) == 1
    assert len(seen) == 3
    for key in redis.keys("*"):
        assert 0 < redis.ttl(key) <= _TTL


def test_what_nobody_counted_is_unknown(reader: CacheReader, redis: Redis) -> None:
    assert reader.count("cat") is None
    assert redis.keys("*") == []


def test_bad_questions_are_refused(reader: CacheReader) -> None:
    with pytest.raises(InvalidInputError, match="search_term"):
        reader.count("-cat")
    with pytest.raises(InvalidInputError, match="format"):
        reader.count("cat", "round")
    with pytest.raises(NotFoundError, match="NOSUCH"):
        reader.timeline("NOSUCH")


@pytest.mark.parametrize("rubbish", ["", "seven", "[1]", "{"])
def test_rubbish_in_redis_is_replaced(
    engine: Engine, redis: Redis, reader: CacheReader, rubbish: str
) -> None:
    store_counts(engine, {"cat": 7})
    redis.set("sorafeed:count:cat:mixed", rubbish)
    redis.set("sorafeed:admin:snapshot", rubbish)
    assert reader.count("cat") == 7
    assert reader.admin()["totals"]["counted_terms"] == 1
    assert redis.get("sorafeed:count:cat:mixed") == "7"
    assert redis.ttl("sorafeed:admin:snapshot") > 0


def test_twenty_who_ask_at_once_cost_one_query(engine: Engine, reader: CacheReader) -> None:
    store_counts(engine, {"cat": 7})
    barrier = Barrier(20)

    def ask(_number: int) -> int | None:
        barrier.wait()
        return reader.count("cat")

    with _queries(engine) as seen, ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(ask, range(20)))
    assert answers == [7] * 20
    assert len(seen) == 1


def test_answers_are_not_shared_objects(engine: Engine, reader: CacheReader) -> None:
    create_display(engine, "AAAAAA", "x")
    reader.timeline("AAAAAA")["videos"].append("mine")
    assert reader.timeline("AAAAAA")["videos"] == []


def test_those_who_wait_share_the_outcome() -> None:
    flight = SingleFlight()
    under_way: Future[int] = Future()
    flight._running["key"] = under_way
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(flight.run, "key", lambda: 1)
        assert flight.run("other", lambda: 2) == 2
        under_way.set_exception(UnavailableError("away"))
        with pytest.raises(UnavailableError, match="away"):
            waiting.result()


def test_after_a_failure_the_next_one_tries_again() -> None:
    flight = SingleFlight()

    def fail() -> None:
        raise UnavailableError("away")

    with pytest.raises(UnavailableError):
        flight.run("key", fail)
    assert flight.run("key", lambda: 6) == 6


def test_without_redis_postgres_answers_and_redis_is_tried_again_later(
    engine: Engine, tmp_path: Path
) -> None:
    create_display(engine, "AAAAAA", "x")
    store_counts(engine, {"cat": 7})
    server = EmbeddedRedis(tmp_path / "redis", persist=False)
    server.start()
    port = int(server.url.rsplit(":", 1)[1].split("/")[0])
    now = [0.0]
    with create_redis_client(server.url) as redis:
        tried: list[str] = []
        reader = CacheReader(engine, _Noting(redis, tried), ttl=_TTL, clock=lambda: now[0])
        assert reader.count("cat") == 7
        server.stop()
        tried.clear()
        for _ in range(5):
            assert reader.count("cat") == 7
            assert reader.timeline("AAAAAA")["videos"] == []
            assert reader.admin()["totals"]["counted_terms"] == 1
        assert len(tried) == 1
        now[0] += 1.5
        assert reader.count("cat") == 7
        assert len(tried) == 2
        server.start(port)
        try:
            now[0] += 1.5
            assert reader.count("cat") == 7
            assert redis.get("sorafeed:count:cat:mixed") == "7"
            with _queries(engine) as seen:
                assert reader.count("cat") == 7
            assert seen == []
        finally:
            server.stop()


class _Noting(Redis):
    """A client that notes the keys it is asked for, and passes on."""

    def __init__(self, inner: Redis, tried: list[str]) -> None:
        super().__init__(connection_pool=inner.connection_pool)
        self._tried = tried

    def get(self, name: KeyT) -> Any:
        self._tried.append(str(name))
        return super().get(name)


def test_without_both_servers_it_says_so(redis_url: str) -> None:
    engine = create_database_engine(f"postgresql://nobody@127.0.0.1:{free_port()}/none", Settings())
    with create_redis_client(redis_url) as redis, pytest.raises(UnavailableError, match="Postgre"):
        CacheReader(engine, redis, ttl=_TTL).count("cat")
    engine.dispose()


def test_an_older_answer_never_covers_a_newer_snapshot(
    engine: Engine, redis: Redis, reader: CacheReader
) -> None:
    store_counts(engine, {"cat": 7})

    def overtake(_connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
        if "search_term = " in statement:
            redis.set("sorafeed:count:cat:mixed", "8", ex=_TTL)

    event.listen(engine, "before_cursor_execute", overtake)
    assert reader.count("cat") == 7
    event.remove(engine, "before_cursor_execute", overtake)
    assert reader.count("cat") == 8
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM search_terms")) == 1
