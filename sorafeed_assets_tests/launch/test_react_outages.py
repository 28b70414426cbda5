"""`sorafeed react` killed, doubled, stopped, or without a server: nothing is lost or repeated."""

import random
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Thread

import dagster as dg
import psycopg
import pytest
from redis import Redis
from sqlalchemy import Engine

from sorafeed_assets.launch import react as react_module
from sorafeed_assets.launch.dagster_home import environment
from sorafeed_assets.launch.dagster_instance import open_instance
from sorafeed_assets.launch.embedded import EmbeddedPostgres, EmbeddedRedis
from sorafeed_assets.services.cache.write import check_count_cache, check_timeline_cache
from sorafeed_assets.services.counts.pools import sample_pools
from sorafeed_assets.services.counts.reads import counts_status, sample_recount
from sorafeed_assets.services.timelines.checks import check_plans, check_queues
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.cache.redis import create_redis_client, timeline_key
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets.storage.postgres.migrate import migrate
from sorafeed_assets_tests.catalogue import run, videos_of
from sorafeed_assets_tests.cli.running import start, wait_until
from sorafeed_assets_tests.launch.reacting import (
    add_wall,
    assert_recorded_once,
    is_quiet,
    reacting,
)
from sorafeed_assets_tests.wall import add_display, add_playlist, add_posts

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

_HOLDER = "SELECT holder FROM leases WHERE name = 'react' AND expires_at > clock_timestamp()"
_CODES = ["AAAAA1", "BBBBB2", "CCCCC3"]


def assert_all_is_right(engine: Engine, settings: Settings) -> None:
    """Assert that counts, pools, queues, plans and Redis follow the stored playlists and posts."""
    pool_size, ttl = settings.candidates_per_pool, settings.cache_ttl_seconds
    displays = [row.id for row in run(engine, "SELECT id FROM displays ORDER BY id")]
    assert counts_status(engine).stale == 0
    assert all(s.stored == s.recounted for s in sample_recount(engine, seed=0, size=10))
    assert all(s.is_equal for s in sample_pools(engine, seed=0, size=10, pool_size=pool_size))
    assert check_queues(engine, displays, settings.window) == {}
    assert check_plans(engine, displays) == {}
    active = run(engine, "SELECT id, display_id FROM playlists WHERE is_active")
    queued = run(engine, "SELECT DISTINCT playlist_id AS id, display_id FROM timeline_videos")
    assert sorted(map(tuple, active)) == sorted(map(tuple, queued))
    with create_redis_client(str(settings.redis_url)) as redis:
        problems = check_timeline_cache(engine, redis, displays)
        assert {name: found for name, found in problems.items() if found} == {}
        assert check_count_cache(engine, redis, ttl=ttl) == []


def edit(engine: Engine, number: int) -> None:
    """Make one change by plain SQL; ``number`` selects its kind."""
    code = _CODES[number % len(_CODES)]
    if number % 3 == 0:
        add_playlist(engine, code, [("cat video", 3 + number % 5), (f"number {number}", 2)])
    elif number % 3 == 1:
        add_posts(engine, "cat video", 5, prefix=f"n{number}", day=number % 4)
    else:
        run(
            engine,
            "DELETE FROM sora_posts WHERE id IN (SELECT video_id FROM timeline_videos"
            " WHERE display_id = :code ORDER BY timeline_position LIMIT 1)",
            code=code,
        )


@pytest.fixture
def wall(engine: Engine) -> Engine:
    add_wall(engine)
    for code in _CODES[1:]:
        add_display(engine, code)
        add_playlist(engine, code, [("cat video", 6)])
    return engine


def test_ten_edits_in_a_second_are_the_last_one(
    wall: Engine, addressed: Settings, instance: dg.DagsterInstance
) -> None:
    with reacting(addressed, instance):
        wait_until(lambda: is_quiet(wall), "nothing to wait")
        for count in range(1, 11):
            run(
                wall,
                "UPDATE playlist_blocks SET video_count = :count WHERE playlist_id IN"
                " (SELECT id FROM playlists WHERE display_id = 'AAAAA1')",
                count=count,
            )
            time.sleep(0.05)
        wait_until(lambda: is_quiet(wall), "nothing to wait")
    ((plan, version),) = run(
        wall,
        "SELECT b.plan, b.playlist_version FROM displays d JOIN timeline_builds b"
        " ON b.id = d.active_build_id WHERE d.id = 'AAAAA1'",
    )
    assert len(plan["loops"][0]["picks"]) == 10
    assert version
    assert_all_is_right(wall, addressed)
    assert_recorded_once(addressed, instance)


def test_kills_at_any_moment_lose_nothing_and_do_nothing_twice(
    wall: Engine, addressed: Settings, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    rng = random.Random(7)  # noqa: S311  # moments, not secrets
    variables = environment(addressed)
    for kill in range(2):
        log = tmp_path / f"{kill}.log"
        process = start(log, "react", "--data-dir", str(tmp_path), **variables)
        try:
            wait_until(
                lambda: any(str(process.pid) in row.holder for row in run(wall, _HOLDER)),  # noqa: B023  # called at once
                "a leader",
            )
            for number in range(6):
                edit(wall, 6 * kill + number)
                time.sleep(rng.uniform(0.0, 0.4))
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(60)
    with reacting(addressed, instance):
        wait_until(lambda: is_quiet(wall), "nothing to wait")
    assert_all_is_right(wall, addressed)
    assert_recorded_once(addressed, instance)


def test_two_that_lead_do_nothing_twice(
    wall: Engine,
    addressed: Settings,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(react_module, "renew_lease", lambda *_: True)
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(reacting(addressed, instance))
        for number in range(12):
            edit(wall, number)
            time.sleep(0.1)
        wait_until(lambda: is_quiet(wall), "nothing to wait")
    assert_all_is_right(wall, addressed)
    assert_recorded_once(addressed, instance)


def test_what_piled_up_while_it_was_away_is_done(
    wall: Engine, addressed: Settings, instance: dg.DagsterInstance
) -> None:
    with reacting(addressed, instance):
        wait_until(lambda: is_quiet(wall), "nothing to wait")
    for number in range(60):
        edit(wall, number)
    add_posts(wall, "dog video", 3_000, prefix="many", day=1)
    run(wall, "DELETE FROM displays WHERE id = 'CCCCC3'")
    with reacting(addressed, instance):
        wait_until(lambda: is_quiet(wall), "nothing to wait")
    assert_all_is_right(wall, addressed)
    assert_recorded_once(addressed, instance)


def test_redis_away_delays_snapshots_and_nothing_else(
    wall: Engine, addressed: Settings, own_redis: EmbeddedRedis
) -> None:
    settings = Settings.model_validate({**addressed.model_dump(), "redis_url": own_redis.url})
    port = int(own_redis.url.rpartition(":")[2].partition("/")[0])
    with open_instance(settings) as instance, reacting(settings, instance):
        wait_until(lambda: is_quiet(wall), "nothing to wait")
        own_redis.stop()
        for number in range(6):
            edit(wall, number)
        wait_until(lambda: not run(wall, "SELECT FROM display_changes"), "settled displays")
        wait_until(lambda: not run(wall, "SELECT FROM catalog_changes"), "applied posts")
        (new,) = add_posts(wall, "cat video", 1, prefix="new", day=30)
        wait_until(lambda: new in videos_of(wall, "AAAAA1"), "a queue")
        own_redis.start(port)
        with Redis.from_url(own_redis.url, decode_responses=True) as redis:
            wait_until(lambda: new in str(redis.get(timeline_key("AAAAA1"))), "a snapshot")
        # The next repair writes what the empty Redis lost.
        wait_until(lambda: _is_cached(wall, settings), "all snapshots")
        wait_until(lambda: is_quiet(wall), "nothing to wait")
        assert_all_is_right(wall, settings)


def _is_cached(engine: Engine, settings: Settings) -> bool:
    ttl = settings.cache_ttl_seconds
    with create_redis_client(str(settings.redis_url)) as redis:
        problems = check_timeline_cache(engine, redis, _CODES)
        return not any(problems.values()) and not check_count_cache(engine, redis, ttl=ttl)


def test_postgres_restarted_in_the_middle_of_it(
    redis_url: str, tmp_path: Path, postgres: EmbeddedPostgres
) -> None:
    server = EmbeddedPostgres(tmp_path / "postgres", {"fsync": "off"})
    server.start()
    try:
        settings = Settings.model_validate(
            {
                "database_url": server.create_database("wall"),
                "dagster_url": server.create_database("dagster").replace(
                    "postgresql://", "postgresql+psycopg2://", 1
                ),
                "redis_url": redis_url,
                "data_dir": tmp_path / "sorafeed",
            }
        )
        engine = create_database_engine(str(settings.database_url), settings)
        migrate(engine)
        add_wall(engine)
        for code in _CODES[1:]:
            add_display(engine, code)
            add_playlist(engine, code, [("cat video", 6)])
        with open_instance(settings) as instance:
            with reacting(settings, instance):
                stop = Event()
                writer = Thread(target=_write, args=(str(settings.database_url), stop))
                writer.start()
                time.sleep(1.0)
                port = int(server.url("wall").rpartition(":")[2].partition("/")[0])
                server.stop()
                server.start(port)
                time.sleep(1.0)
                stop.set()
                writer.join(60)
                engine.dispose()
                wait_until(lambda: is_quiet(engine), "nothing to wait")
                assert_all_is_right(engine, settings)
            assert_recorded_once(settings, instance)
        engine.dispose()
    finally:
        server.stop()


def _write(url: str, stop: Event) -> None:
    """Edit continuously; edits that fail during an outage were not written."""
    number = 0
    while not stop.wait(0.05):
        number += 1
        try:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("UPDATE playlist_blocks SET video_count = %s", (2 + number % 6,))
        except psycopg.Error:
            continue
