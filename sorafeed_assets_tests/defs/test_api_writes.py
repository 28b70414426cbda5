"""What the API has done, Dagster records; it plans nothing anew."""

from sqlalchemy import Engine

from sorafeed_assets.domain.playlists.playlist import BlockDraft, FetchMode
from sorafeed_assets.services.commands import Wall
from sorafeed_assets_tests.catalogue import queue_of
from sorafeed_assets_tests.defs.conftest import Dagster


def test_a_playlist_of_the_api_is_recorded_once(engine: Engine, wall: Dagster) -> None:
    wall.tick_all()
    before = len(wall.recorded("display_timelines"))
    connections = wall.connections
    api = Wall(
        engine,
        connections.redis,
        connections.timelines,
        ttl=connections.settings.cache_ttl_seconds,
        on_change=lambda _tags: None,
    )
    api.create_playlist("AAAAA1", "Night", [BlockDraft("cat video", 2, FetchMode.NEWEST)])
    queue = queue_of(engine, "AAAAA1")
    assert [row.video_id for row in queue[:2]] == ["p_cat_video_0_0011", "p_cat_video_0_0010"]
    for run in wall.tick("playlists"):
        assert run.success
    assert wall.recorded("active_playlists")[-1] == "AAAAA1"
    assert wall.recorded("display_timelines")[before:] == ["AAAAA1"]
    assert queue_of(engine, "AAAAA1") == queue
    assert wall.tick("playlists") == []
