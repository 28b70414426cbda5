"""Giving lineage records to Dagster, and repairing them, during further changes."""

from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import dagster as dg
import pytest
from pydantic import PostgresDsn
from redis import Redis
from sqlalchemy import Engine, event, text
from sqlalchemy.exc import DBAPIError

from sorafeed_assets.defs import recording
from sorafeed_assets.defs.dagster_internals import LINEAGE_TAG, AssetEvent, BatchingEventLogStorage
from sorafeed_assets.defs.lineage import mend as mending
from sorafeed_assets.defs.merged import build_definitions
from sorafeed_assets.defs.recording import (
    FollowedDisplays,
    follow_displays,
    record_asset,
    record_waiting,
    recorded_assets,
)
from sorafeed_assets.launch.dagster_instance import open_instance
from sorafeed_assets.launch.embedded import EmbeddedPostgres
from sorafeed_assets.services.counts.refresh import CountsRun
from sorafeed_assets.services.counts.terms import watch_term
from sorafeed_assets.services.legacy.lineage import LEGACY_POSTS, write_versions
from sorafeed_assets.services.lineage import StoredLineage, read_stored
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.cache.redis import timeline_key
from sorafeed_assets.storage.legacy.comparisons import Comparison
from sorafeed_assets.storage.lineage_records import NOTHING, head_version, heads
from sorafeed_assets.storage.postgres.engine import snapshot
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.dagster_instance import dagster_database
from sorafeed_assets_tests.defs.conftest import Dagster
from sorafeed_assets_tests.launch.reacting import WAITING
from sorafeed_assets_tests.serving.client import wait_until
from sorafeed_assets_tests.wall import add_display, add_playlist, add_posts

_AN_HOUR_LATER = """
UPDATE lineage_records SET created_at = created_at - interval '1 hour'
WHERE asset = 'video_candidates'
"""
_MADE_FROM = """
SELECT DISTINCT made_from ->> 'video_candidates' AS pools FROM lineage_records
WHERE asset = 'display_timelines'
"""
_WAITS_FOR_COUNTS: Final = """
SELECT FROM pg_locks WHERE relation = 'catalog_days'::regclass AND NOT granted
"""
_WAITS_FOR_EVENTS: Final = """
SELECT FROM pg_locks WHERE relation = 'event_logs'::regclass AND NOT granted
"""
_END_HOLDER: Final = """
SELECT pg_terminate_backend(pid, 10000) FROM pg_locks
WHERE locktype = 'advisory' AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def test_a_display_that_comes_while_records_are_given_is_recorded(wall: Dagster) -> None:
    wall.record()
    add_display(wall.connections.engine, "CCCCC3")
    add_playlist(wall.connections.engine, "CCCCC3", [("video", 2)])
    wall.connections.settler.settle_changed()
    assert "CCCCC3" not in wall.instance.get_dynamic_partitions("displays")
    for asset in recorded_assets(wall.definitions.resolve_asset_graph()):
        record_asset(wall.connections, wall.instance, asset)
    assert "CCCCC3" in wall.versions("display_timelines")
    assert wall.lineage().differing == {}


def test_what_is_recorded_while_all_is_compared_is_not_mended(
    wall: Dagster, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = wall.connections
    assets = recorded_assets(wall.definitions.resolve_asset_graph())
    mending.mend(connections, wall.instance, assets)
    wall.record()

    def read_and_change(engine: Engine, redis: Redis | None) -> StoredLineage:
        found = read_stored(engine, redis)
        add_posts(engine, "cat video", 3, prefix="new")
        assert connections.settler.apply_posts() == 3
        return found

    monkeypatch.setattr(mending, "read_stored", read_and_change)
    assert mending.mend(connections, wall.instance, assets) == set()
    monkeypatch.undo()
    wall.record()
    assert wall.lineage().differing == {}


def test_a_day_that_is_being_counted_is_not_recorded_as_empty(wall: Dagster) -> None:
    connections = wall.connections
    engine = connections.engine
    assets = recorded_assets(wall.definitions.resolve_asset_graph())
    run(engine, "DELETE FROM lineage_records WHERE asset IN ('sora_posts', 'video_counts_daily')")
    with ThreadPoolExecutor(1) as threads:
        with snapshot(engine) as connection:
            days = CountsRun(connection, 10, None).refresh(None, recount=True).days
            mended = threads.submit(mending.mend, connections, wall.instance, assets)
            wait_until(lambda: mended.done() or bool(run(engine, _WAITS_FOR_COUNTS)))
        mended.result(60)
    assert days
    with engine.connect() as connection:
        for asset in ("sora_posts", "video_counts_daily"):
            found = {day: head_version(connection, asset, day.isoformat()) for day in days}
            assert NOTHING not in found.values(), (asset, found)
            # Other days are empty.
            assert NOTHING in heads(connection, asset)[asset].values()


def test_a_long_count_does_not_hold_up_what_is_mended(wall: Dagster) -> None:
    connections = wall.connections
    engine = connections.engine
    assets = recorded_assets(wall.definitions.resolve_asset_graph())
    run(engine, "DELETE FROM lineage_records WHERE asset IN ('sora_posts', 'video_counts_daily')")
    connections.redis.delete(timeline_key("AAAAA1"))
    with ThreadPoolExecutor(1) as threads, snapshot(engine) as connection:
        days = CountsRun(connection, 10, None).refresh(None, recount=True).days
        mended = threads.submit(mending.mend, connections, wall.instance, assets)
        wait_until(lambda: bool(connections.redis.exists(timeline_key("AAAAA1"))))
        mended.result(60)
        with engine.connect() as other:
            known = heads(other)
        for asset in ("sora_posts", "video_counts_daily"):
            assert known[asset].keys().isdisjoint(day.isoformat() for day in days)
            assert set(known[asset].values()) == {NOTHING}
        connection.rollback()
    # A count that failed has recorded nothing.
    mending.mend(connections, wall.instance, assets)
    assert wall.lineage().differing == {}


def test_displays_are_followed_without_reading_all_each_time(
    wall: Dagster, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections, instance = wall.connections, wall.instance
    assets = recorded_assets(wall.definitions.resolve_asset_graph())
    looks: list[None] = []

    def counted(*asked: object) -> None:
        looks.append(None)
        follow_displays(connections, instance)

    monkeypatch.setattr(recording, "follow_displays", counted)
    followed = FollowedDisplays()

    def record() -> tuple[int, set[str]]:
        looks.clear()
        record_waiting(connections, instance, assets, followed)
        return len(looks), set(instance.get_dynamic_partitions("displays"))

    assert record() == (1, {"AAAAA1", "BBBBB2"})
    assert record() == (0, {"AAAAA1", "BBBBB2"})
    run(connections.engine, "UPDATE playlist_blocks SET video_count = 2")
    connections.settler.settle_changed()
    assert record() == (0, {"AAAAA1", "BBBBB2"})
    run(connections.engine, "DELETE FROM displays WHERE id = 'AAAAA1'")
    connections.settler.settle_changed()
    assert record() == (1, {"BBBBB2"})
    # One is deleted and one added: as many as before, but a record of the new one waits.
    run(connections.engine, "DELETE FROM displays WHERE id = 'BBBBB2'")
    add_display(connections.engine, "CCCCC3")
    connections.settler.settle_changed()
    assert record() == (1, {"CCCCC3"})
    assert wall.lineage().differing == {}


def test_timelines_of_earlier_candidates_are_made_again_when_these_rest(wall: Dagster) -> None:
    connections = wall.connections
    assets = recorded_assets(wall.definitions.resolve_asset_graph())

    def mend() -> list[str]:
        """Mend and record; the timelines that are recorded."""
        before = len(wall.recorded("display_timelines"))
        mending.mend(connections, wall.instance, assets)
        wall.record()
        assert wall.lineage().differing == {}
        return sorted(wall.recorded("display_timelines")[before:])

    mend()
    # The candidates of a search that no display uses.
    watch_term(connections.engine, "number")
    assert connections.settler.count_waiting_terms() == 1
    assert mend() == []
    assert {"display_timelines AAAAA1", "display_timelines BBBBB2"} <= wall.stale().keys()
    run(connections.engine, _AN_HOUR_LATER)
    queues = run(connections.engine, "SELECT * FROM timeline_videos ORDER BY id")
    assert mend() == ["AAAAA1", "BBBBB2"]
    assert not [name for name in wall.stale() if name.startswith("display_timelines")]
    assert mend() == []
    assert run(connections.engine, "SELECT * FROM timeline_videos ORDER BY id") == queues
    (made_from,) = run(connections.engine, _MADE_FROM)
    with connections.engine.connect() as connection:
        assert made_from.pools == head_version(connection, "video_candidates")


def test_an_edit_that_keeps_the_terms_leaves_them_synced(wall: Dagster) -> None:
    wall.record()
    recorded = len(wall.recorded("search_terms"))
    run(wall.connections.engine, "UPDATE playlist_blocks SET video_count = 2")
    wall.connections.settler.settle_changed()
    wall.record()
    assert "search_terms" not in wall.stale()
    assert len(wall.recorded("search_terms")) == recorded + 1
    assert wall.record() == 0


def test_records_of_an_asset_outside_the_graph_do_not_wait(wall: Dagster) -> None:
    """An old system that is named to `legacy import` only, or not any more."""
    connections, instance = wall.connections, wall.instance
    with connections.engine.begin() as connection:
        write_versions(connection, [Comparison("2026-03-01", 2, 2, old_digest="2-77")])
    assert run(connections.engine, WAITING)
    wall.record()
    assert run(connections.engine, WAITING) == []
    # Once the graph has the asset, its days are recorded.
    url = PostgresDsn("postgresql://reader@127.0.0.1:1/old")
    named = connections.settings.model_copy(update={"legacy_catalog_url": url})
    with_old = Dagster(instance, build_definitions(named, connections), connections)
    assets = recorded_assets(with_old.definitions.resolve_asset_graph())
    assert LEGACY_POSTS in mending.mend(connections, instance, assets)
    with_old.record()
    (event,) = instance.fetch_observations(dg.AssetKey(LEGACY_POSTS), limit=10).records
    assert event.asset_observation is not None
    assert event.asset_observation.data_version == "2-77"
    assert event.partition_key == "2026-03-01"
    assert run(connections.engine, WAITING) == []


def test_one_that_lost_its_session_gives_nothing_to_dagster(
    wall: Dagster, monkeypatch: pytest.MonkeyPatch
) -> None:
    assets = recorded_assets(wall.definitions.resolve_asset_graph())
    active = next(asset for asset in assets if asset.name == "active_playlists")
    make_events = recording._events

    def lose_the_session(*args: Any) -> list[AssetEvent]:
        monkeypatch.undo()
        monkeypatch.setattr(recording, "_MAY_STORE_SECONDS", 0.0)
        events = make_events(*args)
        assert run(wall.connections.engine, _END_HOLDER)
        # Another process takes and stores them meanwhile.
        assert record_asset(wall.connections, wall.instance, active) == len(events)
        return events

    monkeypatch.setattr(recording, "_events", lose_the_session)
    with pytest.raises(DBAPIError):
        record_asset(wall.connections, wall.instance, active)
    named = _times_stored(wall.instance, active.name)
    assert named
    assert set(named.values()) == {1}


def test_events_that_are_being_stored_are_not_stored_twice(
    wall: Dagster, settings: Settings, postgres: EmbeddedPostgres
) -> None:
    """A process lost what it took after it began to store; another one takes it again."""
    connections = wall.connections
    assets = recorded_assets(wall.definitions.resolve_asset_graph())
    active = next(asset for asset in assets if asset.name == "active_playlists")
    again: list[Future[int]] = []
    with dagster_database(settings, postgres) as addressed, open_instance(addressed) as instance:
        storage = instance.event_log_storage
        assert isinstance(storage, BatchingEventLogStorage)
        engine = storage._engine
        follow_displays(connections, instance)

        def waits() -> bool:
            with engine.connect() as other:
                return bool(other.execute(text(_WAITS_FOR_EVENTS)).all())

        with ThreadPoolExecutor(1) as threads:

            def lose(_connection: object, _cursor: object, statement: str, *_: object) -> None:
                if not again and "INTO asset_event_tags" in statement:
                    assert run(connections.engine, _END_HOLDER)
                    again.append(threads.submit(record_asset, connections, instance, active))
                    wait_until(lambda: again[0].done() or waits())

            event.listen(engine, "before_cursor_execute", lose)
            with pytest.raises(DBAPIError):
                record_asset(connections, instance, active)
        assert again[0].result() == 2
        assert sorted(_times_stored(instance, active.name).values()) == [1, 1]


def _times_stored(instance: dg.DagsterInstance, asset: str) -> Counter[str]:
    """How many events name each lineage record of an asset."""
    stored = instance.fetch_materializations(dg.AssetKey(asset), limit=100).records
    return Counter(
        (record.asset_materialization.tags or {})[LINEAGE_TAG]
        for record in stored
        if record.asset_materialization is not None
    )
