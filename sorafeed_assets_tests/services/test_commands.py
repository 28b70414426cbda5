"""A stored change succeeds, even if its snapshots cannot be written."""

from redis import Redis
from sqlalchemy import Engine

from sorafeed_assets.domain.playlists.playlist import BlockDraft
from sorafeed_assets.services.cache.write import check_timeline_cache
from sorafeed_assets.services.commands import Commands
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets_tests.catalogue import add_display, add_posts
from sorafeed_assets_tests.wall import hold_snapshots


def test_snapshots_that_cannot_be_read_in_time_are_written_later(
    engine: Engine, settings: Settings
) -> None:
    add_posts(engine, "cat", 3)
    add_display(engine, "AAAAAA")
    hasty = create_database_engine(
        str(settings.database_url), settings.model_copy(update={"lock_timeout_seconds": 1})
    )
    timelines = TimelineService(hasty, window=settings.window, candidates_per_pool=10)
    told: list[str] = []
    with Redis.from_url(str(settings.redis_url), decode_responses=True) as redis:
        wall = Commands(hasty, redis, timelines, ttl=100, on_change=told.extend)
        with engine.begin() as other:
            hold_snapshots(other)
            change = wall.create_playlist("AAAAAA", "Night", [BlockDraft("cat", 2)])
        assert change.problem is None
        assert "display:AAAAAA" in told
        assert check_timeline_cache(engine, redis)["AAAAAA"]
        assert wall.settler.retry_unwritten() == 0
        assert not check_timeline_cache(engine, redis)["AAAAAA"]
    hasty.dispose()
