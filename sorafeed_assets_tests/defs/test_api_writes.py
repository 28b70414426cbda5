"""Changes by the API are recorded, by `react` or by the sensors, and not planned again."""

from sqlalchemy import Engine

from sorafeed_assets.domain.playlists.playlist import BlockDraft, FetchMode
from sorafeed_assets.services.commands import Commands
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets_tests.catalogue import queue_of, run
from sorafeed_assets_tests.defs.conftest import Dagster


def test_a_playlist_of_the_api_is_recorded_once(engine: Engine, wall: Dagster) -> None:
    wall.tick_all()
    before = len(wall.recorded("display_timelines"))
    connections = wall.connections
    api = Commands(
        engine,
        connections.redis,
        TimelineService(engine),
        ttl=connections.settings.cache_ttl_seconds,
    )
    api.create_playlist("AAAAA1", "Night", [BlockDraft("cat video", 2, FetchMode.NEWEST)])
    queue = queue_of(engine, "AAAAA1")
    assert [row.video_id for row in queue[:2]] == ["p_cat_video_0_0011", "p_cat_video_0_0010"]
    assert wall.lineage().waiting > 0
    (settled,) = wall.tick("unsettled")
    assert settled.success
    assert wall.recorded("active_playlists")[-1] == "AAAAA1"
    assert wall.recorded("display_timelines")[before:] == ["AAAAA1"]
    assert queue_of(engine, "AAAAA1") == queue
    assert wall.tick("unsettled") == []
    assert wall.lineage().differ == 0


def test_react_leaves_the_net_nothing_to_do(engine: Engine, wall: Dagster) -> None:
    wall.tick_all()
    api = Commands(engine, wall.connections.redis, TimelineService(engine), ttl=1000)
    api.create_playlist("BBBBB2", "Day", [BlockDraft("dog video", 3)])
    assert wall.record() > 0
    assert wall.tick("unsettled") == []
    lineage = wall.lineage()
    assert (lineage.waiting, lineage.differ) == (0, 0)


def test_a_wall_with_new_snapshots_is_not_rebuilt_at_once_and_later_before_they_expire(
    engine: Engine, wall: Dagster
) -> None:
    wall.rebuild()
    wall.cursors.clear()
    assert wall.tick("unsettled") == []
    # As half the life of a snapshot later.
    wall.cursors["unsettled"] = "0.0"
    (refreshed,) = wall.tick("unsettled")
    assert refreshed.success
    assert wall.tick("unsettled") == []


def test_a_new_database_of_dagster_has_old_snapshots_written_again(
    engine: Engine, wall: Dagster
) -> None:
    wall.rebuild()
    wall.record()
    run(engine, "UPDATE lineage_records SET created_at = created_at - interval '13 hours'")
    wall.cursors.clear()
    (refreshed,) = wall.tick("unsettled")
    assert refreshed.success
    assert wall.tick("unsettled") == []
