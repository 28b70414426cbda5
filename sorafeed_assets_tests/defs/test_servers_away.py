"""Outages of servers during runs: retries, one clear message, and nothing lost."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import Connection, Engine, event

from sorafeed_assets.defs import requests
from sorafeed_assets.defs.merged import build_definitions
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.launch.embedded import EmbeddedPostgres, EmbeddedRedis
from sorafeed_assets.services.counts import from_text
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.catalog.stream import Chunk, stream_day
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets.storage.postgres.migrate import migrate
from sorafeed_assets_tests.catalogue import run, videos_of
from sorafeed_assets_tests.defs.conftest import Dagster, bring_up_to_date
from sorafeed_assets_tests.wall import add_display, add_playlist, add_posts

DAY = {
    "dagster/asset_partition_range_start": "2026-03-01",
    "dagster/asset_partition_range_end": "2026-03-01",
}
EDIT = """
UPDATE playlist_blocks b SET search_term = 'dog video' FROM playlists p
WHERE p.id = b.playlist_id AND p.display_id = 'AAAAA1' AND b.block_order = 0
"""


@pytest.fixture(autouse=True)
def _short_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual number of retries, without pauses."""
    monkeypatch.setattr(dg.RetryPolicy, "calculate_delay", lambda _self, _attempt: 0.01)


@pytest.fixture
def settings(database_url: str, own_redis: EmbeddedRedis, tmp_path: Path) -> Settings:
    """Settings with a Redis that the test may stop."""
    values = {"database_url": database_url, "redis_url": own_redis.url, "data_dir": tmp_path}
    return Settings.model_validate(values)


def _attempts_and_messages(result: dg.ExecuteInProcessResult, step: str) -> tuple[int, list[str]]:
    """How often a step was retried, and the messages of its failures."""
    events = [e for e in result.all_events if e.step_key == step]
    retried = sum(e.event_type is dg.DagsterEventType.STEP_RESTARTED for e in events)
    failures = [e.step_failure_data for e in events if e.is_step_failure]
    told = [f.user_failure_data.description for f in failures if f.user_failure_data]
    return retried, [str(text) for text in told]


def _restart(server: EmbeddedRedis, url: str) -> None:
    server.start(int(url.rpartition(":")[2].partition("/")[0]))
    assert server.url == url


def test_redis_away_while_displays_are_rebuilt(
    engine: Engine, wall: Dagster, own_redis: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = own_redis.url
    run(engine, EDIT)
    own_redis.stop()
    (failed,) = wall.tick("unsettled")
    assert not failed.success
    retried, (message,) = _attempts_and_messages(failed, "timeline_cache")
    assert retried == 3
    assert message.startswith("Redis at 127.0.0.1:")
    assert message.endswith("start it with `sorafeed up`, or check SORAFEED_REDIS_URL")

    # In Postgres the new plan is published and recorded.
    assert videos_of(engine, "AAAAA1")[0] == "p_dog_video_0_0007"
    assert wall.culprits("display_timelines:every_timeline_is_current") == ""
    assert "AAAAA1" in wall.recorded("display_timelines")
    assert "AAAAA1" not in wall.recorded("timeline_cache")

    # When Redis answers again, the next tick finds old snapshots and writes them again.
    _restart(own_redis, url)
    wall.connections.redis.set("sorafeed:timeline:AAAAA1", '{"old": true}', ex=1000)
    later = datetime.now(UTC) + timedelta(seconds=31)
    monkeypatch.setattr(requests, "utc_now", lambda: later)
    (repaired,) = wall.tick("unsettled")
    assert repaired.success
    assert "AAAAA1" in wall.recorded("timeline_cache")
    assert wall.tick("unsettled") == []
    assert wall.lineage().differ == 0
    assert wall.culprits("timeline_cache:timeline_cache_equals_queue") == ""


def test_redis_away_while_counts_are_refreshed(
    engine: Engine, wall: Dagster, own_redis: EmbeddedRedis
) -> None:
    url = own_redis.url
    run(engine, "DELETE FROM sora_posts WHERE id = 'p_cat_video_0_0003'")
    own_redis.stop()
    failed = wall.run("refresh_counts", tags=DAY)
    assert not failed.success
    retried, (message,) = _attempts_and_messages(failed, "count_cache")
    assert retried == 3
    assert "Redis at 127.0.0.1:" in message
    total = (
        "SELECT total_count FROM video_counts_by_search"
        " WHERE (search_term, format) = ('cat video', 'mixed')"
    )
    assert run(engine, total) == [(11,)]

    _restart(own_redis, url)
    assert wall.run("refresh_counts", tags=DAY).success
    assert wall.connections.redis.get("sorafeed:count:cat video:mixed") == "11"
    assert wall.culprits("count_cache:count_cache_equals_view") == ""


def test_checks_say_that_redis_is_away(wall: Dagster, own_redis: EmbeddedRedis) -> None:
    own_redis.stop()
    for name in (
        "count_cache:count_cache_equals_view",
        "timeline_cache:timeline_cache_equals_queue",
    ):
        key = dg.AssetCheckKey(dg.AssetKey(name.partition(":")[0]), name.partition(":")[2])
        job = dg.define_asset_job("one_check", selection=dg.AssetSelection.checks(key))
        merged = dg.Definitions.merge(wall.definitions, dg.Definitions(jobs=[job]))
        result = merged.resolve_job_def("one_check").execute_in_process(
            instance=wall.instance, raise_on_error=False
        )
        assert not result.success  # an unknown state is not reported as wrong
        assert result.get_asset_check_evaluations() == []


def test_postgres_restarted_in_the_middle_of_runs(
    tmp_path: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = EmbeddedPostgres(tmp_path / "postgres", {"fsync": "off", "shared_buffers": "64MB"})
    server.start()
    port = int(server.url("x").rpartition(":")[2].partition("/")[0])
    settings = Settings.model_validate(
        {"database_url": server.create_database("sorafeed"), "redis_url": redis_url}
    )
    engine = create_database_engine(str(settings.database_url), settings)
    connections = Connections(settings)
    try:
        migrate(engine)
        with dg.DagsterInstance.ephemeral() as instance:
            dagster = Dagster(instance, build_definitions(settings, connections), connections)
            _restart_in_the_middle(engine, dagster, server, port, monkeypatch)
    finally:
        connections.close()
        engine.dispose()
        server.stop()


def _restart_in_the_middle(
    engine: Engine,
    dagster: Dagster,
    server: EmbeddedPostgres,
    port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add_posts(engine, "cat video", 12)
    add_posts(engine, "dog video", 8)
    add_display(engine, "AAAAA1")
    add_playlist(engine, "AAAAA1", [("cat video", 4)])
    bring_up_to_date(dagster.connections)
    good = videos_of(engine, "AAAAA1")
    run(engine, EDIT)

    # Once, in the statement that would queue the new videos: the retry succeeds.
    restarts = _restart_at("INSERT INTO timeline_videos", dagster.connections.engine, server, port)
    result = dagster.rebuild()
    assert restarts == ["restarted"]
    assert result.success
    assert _attempts_and_messages(result, "display_timelines")[0] == 1
    changed = videos_of(engine, "AAAAA1")
    assert changed[0] == "p_dog_video_0_0007"
    assert changed != good

    # The same while counts are applied.
    run(engine, "DELETE FROM sora_posts WHERE id = 'p_cat_video_0_0003'")
    restarts = _restart_at("DELETE FROM catalog_changes", dagster.connections.engine, server, port)
    assert dagster.run("refresh_counts", tags=DAY).success
    assert restarts == ["restarted"]
    assert dagster.culprits("video_counts_by_search:counts_equal_recount") == ""

    # The same while posts stream out by COPY.
    restarts = []

    def stream(connection: Connection, day: date) -> Iterator[Chunk]:
        if not restarts:
            restarts.append("restarted")
            server.stop()
            server.start(port)
        return stream_day(connection, day)

    monkeypatch.setattr(from_text, "stream_day", stream)
    config = {"ops": {"video_counts_daily": {"config": {"recount": True}}}}
    result = dagster.run("refresh_counts", tags=DAY, config=config)
    assert result.success
    assert restarts == ["restarted"]
    (retry,) = [e for e in result.all_events if e.is_step_up_for_retry]
    assert retry.step_retry_data.error is not None
    assert "Postgres does not answer as it should" in str(retry.step_retry_data.error.cause)

    # A lasting outage: one clear message, and afterwards the queue is the last good one.
    run(engine, EDIT.replace("'dog video'", "'cat video'"))
    server.stop()
    failed = dagster.rebuild("AAAAA1")
    retried, (message,) = _attempts_and_messages(failed, "active_playlists")
    assert retried == 3
    assert message.startswith("Postgres does not answer")
    server.start(port)
    assert videos_of(engine, "AAAAA1") == changed
    assert dagster.rebuild().success
    assert videos_of(engine, "AAAAA1") == good


def _restart_at(statement: str, engine: Engine, server: EmbeddedPostgres, port: int) -> list[str]:
    """Restart the server just before the next such statement; the list notes that it did."""
    done: list[str] = []

    def before(_connection: object, _cursor: object, sent: str, *_rest: object) -> None:
        if statement in sent and not done:
            done.append("restarted")
            server.stop()
            server.start(port)

    event.listen(engine, "before_cursor_execute", before)
    return done
