"""A count that a preview promised follows, whatever is saved meanwhile."""

from redis import Redis
from sqlalchemy import Engine

from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.playlists.playlist import BlockDraft, FetchMode, draft_block
from sorafeed_assets.services.commands import Commands
from sorafeed_assets.services.counts.jobs import run_count_jobs
from sorafeed_assets.services.counts.terms import sync_search_terms, tracked_terms
from sorafeed_assets.services.counts.typeahead import MOST_COUNTED, Exactness, preview_count
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.wall import add_display, add_posts


def test_a_save_of_somebody_else_does_not_drop_a_promised_count(
    engine: Engine, settings: Settings
) -> None:
    add_posts(engine, "many", MOST_COUNTED + 50)
    add_display(engine, "AAAAAA")
    told: list[str] = []
    for _ in range(2):
        first = preview_count(
            engine, "many", Format.MIXED, may_track=True, on_tracked=lambda: told.append("many")
        )
        assert first.exactness is Exactness.AT_LEAST
    assert told == ["many"]
    with Redis.from_url(str(settings.redis_url), decode_responses=True) as redis:
        timelines = TimelineService(engine, window=settings.window, candidates_per_pool=10)
        Commands(engine, redis, timelines, ttl=100).create_playlist(
            "AAAAAA", "other", [_block("dog")]
        )
        run_count_jobs(engine, pool_size=10)
    found = preview_count(engine, "many", Format.MIXED, may_track=False)
    assert (found.total, found.exactness) == (MOST_COUNTED + 50, Exactness.EXACT)
    # No caller waits for it any more.
    sync_search_terms(engine)
    assert tracked_terms(engine) == ["dog"]


def test_a_count_that_was_given_up_is_waited_for_by_nobody(engine: Engine) -> None:
    add_posts(engine, "many", MOST_COUNTED + 1)
    preview_count(engine, "many", Format.MIXED, may_track=True)
    run(engine, "UPDATE count_jobs SET attempts = 3, run_after = now() + interval '1 min'")
    sync_search_terms(engine)
    assert tracked_terms(engine) == ["many"]  # its last attempt may be in progress
    run(engine, "UPDATE count_jobs SET run_after = now()")
    sync_search_terms(engine)
    assert tracked_terms(engine) == []


def test_what_may_not_be_tracked_is_counted_and_not_stored(engine: Engine) -> None:
    add_posts(engine, "many", MOST_COUNTED + 1)
    found = preview_count(engine, "many", Format.MIXED, may_track=False)
    assert (found.total, found.exactness, found.is_tracked) == (
        MOST_COUNTED + 1, Exactness.AT_LEAST, False,
    )  # fmt: skip
    assert tracked_terms(engine) == []
    preview_count(engine, "many", Format.MIXED, may_track=True)
    assert preview_count(engine, "many", Format.MIXED, may_track=False).is_tracked


def _block(search: str) -> BlockDraft:
    return draft_block(0, search, 1, FetchMode.NEWEST)
