"""Odd rows that Postgres accepts: a rule handles each, and no other row is affected."""

from datetime import date

import dagster as dg
from redis import Redis
from redis.client import PubSub
from sqlalchemy import Engine

from sorafeed_assets.defs.common import day_range_tags
from sorafeed_assets.services.timelines.queues import plan_problems
from sorafeed_assets.storage.cache.redis import CHANGES
from sorafeed_assets_tests.catalogue import run, videos_of
from sorafeed_assets_tests.defs.conftest import Dagster, bring_up_to_date
from sorafeed_assets_tests.wall import add_display, add_playlist

DAY = date(2026, 3, 1)
_POSTS = """
INSERT INTO sora_posts (id, text, posted_at, indexed_at, width, height) VALUES
    ('null text', NULL, '2026-03-02 10:00+00', '2026-03-02 10:00+00', 640, 352),
    ('no size', 'An odd fish', '2026-03-02 11:00+00', '2026-03-02 11:00+00', NULL, NULL),
    ('half a size', 'An odd fish', '2026-03-02 12:00+00', '2026-03-02 12:00+00', 640, NULL),
    ('zero', 'An odd fish', '2026-03-02 13:00+00', '2026-03-02 13:00+00', 0, 0),
    ('no height', 'An odd fish', '2026-03-02 14:00+00', '2026-03-02 14:00+00', 640, 0),
    ('square', 'An odd fish', '2026-03-02 15:00+00', '2026-03-02 15:00+00', 500, 500),
    ('wide', 'An odd fish', '2026-03-02 16:00+00', '2026-03-02 16:00+00', 640, 352),
    ('future', 'An odd fish', '2126-03-02 10:00+00', '2126-03-02 10:00+00', 640, 352),
    ('before', 'An odd fish', '1999-03-02 10:00+00', '1999-03-02 10:00+00', 352, 640),
    -- 01:30 in Berlin is 00:30 UTC, 23:30 in New York is 03:30 UTC of the next day.
    ('berlin', 'An odd fish', '2026-03-03 01:30+01', '2026-03-03 01:30+01', 640, 352),
    ('new york', 'An odd fish', '2026-03-02 23:30-04', '2026-03-02 23:30-04', 640, 352)
"""
_NEWEST_FIRST = [
    "future", "new york", "berlin", "wide", "square", "no height", "zero", "half a size",
    "no size", "before",
]  # fmt: skip


def test_odd_posts(engine: Engine, dagster: Dagster) -> None:
    for display in ("AAAAA1", "BBBBB2"):
        add_display(engine, display)
        add_playlist(engine, display, [("odd fish", 10)])
    run(engine, "UPDATE playlist_blocks b SET format = 'wide' FROM playlists p"
                " WHERE p.id = b.playlist_id AND p.display_id = 'BBBBB2'")  # fmt: skip
    run(engine, _POSTS)
    dagster.tick("unsettled")
    dagster.tick("new_posts")
    bring_up_to_date(dagster.connections)
    # Without text nothing matches; a post without both sides has no shape, but counts as mixed.
    totals = run(engine, "SELECT format, total_count FROM video_counts_by_search ORDER BY 1")
    assert totals == [("mixed", 10), ("tall", 1), ("wide", 4)]
    # The newest is the latest moment, in whatever zone it was written.
    assert videos_of(engine, "AAAAA1") == _NEWEST_FIRST[:5]
    assert videos_of(engine, "BBBBB2")[:4] == ["future", "new york", "berlin", "wide"]
    # A catalog day is a UTC date.
    days = "SELECT catalog_day::text, post_count FROM catalog_days ORDER BY 1"
    assert run(engine, days) == [
        ("1999-03-02", 1), ("2026-03-02", 7), ("2026-03-03", 2), ("2126-03-02", 1),
    ]  # fmt: skip
    for check in ("counts_equal_recount", "wide_and_tall_within_mixed", "counts_are_fresh"):
        assert dagster.culprits(f"video_counts_by_search:{check}") == ""
    assert dagster.culprits("video_candidates:pools_equal_brute_force") == ""


_END = "the end of what is told"


def _told(redis: Redis, channel: PubSub) -> list[str]:
    """The notifications so far, except for displays whose queue changed."""
    told: list[str] = []
    redis.publish(CHANGES, _END)
    while _END not in told:
        message = channel.get_message(timeout=60)  # None for the subscription itself
        told += [message["data"]] if message is not None else []
    channel.close()
    return [data for data in told if "AAAAA1" in data]


def test_a_search_that_only_looks_like_words(engine: Engine, wall: Dagster) -> None:
    before = videos_of(engine, "AAAAA1")
    run(engine, "UPDATE playlist_blocks b SET search_term = :term FROM playlists p"
                " WHERE p.id = b.playlist_id AND p.display_id = 'AAAAA1' AND block_order = 1",
        term="\x1c")  # fmt: skip
    run(engine, "UPDATE playlist_blocks b SET video_count = 2 FROM playlists p"
                " WHERE p.id = b.playlist_id AND p.display_id = 'BBBBB2'")  # fmt: skip
    channel = wall.connections.redis.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]  # redis has none
    channel.subscribe(CHANGES)
    (rebuilt,) = wall.tick("unsettled")
    assert rebuilt.success
    stale = wall.culprits("display_timelines:every_timeline_is_current")
    assert stale == "AAAAA1: its queue does not follow its active playlist"
    assert videos_of(engine, "AAAAA1") == before
    assert wall.culprits("display_timelines:queue_within_window") == ""
    # The API's pages are notified, although nothing else of the display changed.
    assert _told(wall.connections.redis, channel) == ['["display:AAAAA1"]']
    why = "blocks[1].search_term: is empty; write the words to search for"
    assert plan_problems(engine) == {"AAAAA1": why}
    # Terms are tracked for the others, and the invalid one is reported.
    assert wall.run("refresh_counts", tags=day_range_tags(DAY, DAY)).success
    made = wall.instance.get_latest_materialization_event(dg.AssetKey("search_terms"))
    assert made is not None
    assert made.asset_materialization is not None
    assert made.asset_materialization.metadata["unusable_blocks"].value == 1
    # Alone it is refused with the field's name.
    (alone,) = wall.tick("unsettled")
    assert not alone.success
    (failure,) = alone.filter_events(lambda e: e.is_step_failure)
    told = failure.step_failure_data.user_failure_data
    assert told is not None
    assert "AAAAA1: blocks[1].search_term: is empty" in str(told.description)
