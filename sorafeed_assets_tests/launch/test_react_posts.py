"""`sorafeed react` follows posts: counts, pools, totals, caches, and the displays concerned."""

import json
from typing import Any

import dagster as dg
import pytest
from redis import Redis
from sqlalchemy import Engine

from sorafeed_assets.defs.counts.automation import days_to_refresh
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.services.counts.pools import sample_pools
from sorafeed_assets.services.counts.reads import counts_status, pending_changes, sample_recount
from sorafeed_assets.services.timelines.checks import check_plans, check_queues
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.cache.redis import count_key, timeline_key
from sorafeed_assets_tests.catalogue import run, videos_of
from sorafeed_assets_tests.cli.running import wait_until
from sorafeed_assets_tests.launch.reacting import (
    add_wall,
    assert_recorded_once,
    events_of,
    is_quiet,
    reacting,
)
from sorafeed_assets_tests.wall import add_display, add_playlist, add_posts

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

# The state of a display: its queue rows, its builds, and its lineage records.
_OF_DISPLAY = """
SELECT v.id::text AS id, v.build_id::text AS of, xmin::text AS written FROM timeline_videos v
WHERE display_id = :id
UNION ALL SELECT id::text, 'build', xmin::text FROM timeline_builds WHERE display_id = :id
UNION ALL SELECT id::text, asset, 'record' FROM lineage_records WHERE partition = :id
ORDER BY 2, 1
"""


def add_three(engine: Engine) -> None:
    """Add a display of newest cats, one of random dogs, and one of tall cats."""
    add_wall(engine)
    add_posts(engine, "dog video", 30)
    add_posts(engine, "cat video", 9, prefix="tall", size=(352, 640))
    add_display(engine, "BBBBB2")
    add_playlist(engine, "BBBBB2", [("dog video", 6)], mode="random")
    add_display(engine, "CCCCC3")
    add_playlist(engine, "CCCCC3", [("cat video", 6)])
    run(
        engine,
        "UPDATE playlist_blocks SET format = 'tall' WHERE playlist_id IN"
        " (SELECT id FROM playlists WHERE display_id = 'CCCCC3')",
    )


def played(redis: Redis, display: str) -> list[str]:
    """The videos that a display's snapshot in Redis names."""
    found: Any = redis.get(timeline_key(display))
    return [video["video_id"] for video in json.loads(found or '{"videos": []}')["videos"]]


def assert_right(engine: Engine, settings: Settings) -> None:
    """Assert that counts and pools equal direct queries, and queues follow their plans."""
    pool_size = settings.candidates_per_pool
    assert all(s.stored == s.recounted for s in sample_recount(engine, seed=0, size=10))
    assert all(s.is_equal for s in sample_pools(engine, seed=0, size=10, pool_size=pool_size))
    displays = [row.id for row in run(engine, "SELECT id FROM displays")]
    assert check_queues(engine, displays, settings.window) == {}
    assert check_plans(engine, displays) == {}
    assert counts_status(engine).stale == 0


def test_a_post_reaches_counts_pools_and_only_the_displays_that_want_it(
    engine: Engine, addressed: Settings, instance: dg.DagsterInstance, redis_url: str
) -> None:
    add_three(engine)
    assets = ("sora_posts", "video_counts_daily", "video_counts_by_search", "video_candidates")
    with reacting(addressed, instance), Redis.from_url(redis_url, decode_responses=True) as redis:
        wait_until(lambda: redis.get(count_key("cat video", "mixed")) == "21", "a count")
        wait_until(lambda: is_quiet(engine), "nothing to wait")
        others = {name: run(engine, _OF_DISPLAY, id=name) for name in ("BBBBB2", "CCCCC3")}
        before = {asset: len(events_of(instance, asset)) for asset in (*assets, "count_cache")}
        (new,) = add_posts(engine, "cat video", 1, prefix="new", day=1)
        wait_until(lambda: new in videos_of(engine, "AAAAA1"), "the post in the queue")
        wait_until(lambda: new in played(redis, "AAAAA1"), "the post in Redis")
        wait_until(lambda: redis.get(count_key("cat video", "mixed")) == "22", "its count")
        wait_until(lambda: is_quiet(engine), "nothing to wait")
        assert all(len(events_of(instance, asset)) > n for asset, n in before.items())
        assert {name: run(engine, _OF_DISPLAY, id=name) for name in others} == others
        (gone,) = add_posts(engine, "cat video", 1, prefix="gone", day=2)
        wait_until(lambda: gone in played(redis, "AAAAA1"), "another post in Redis")
        run(engine, "DELETE FROM sora_posts WHERE id = :id", id=gone)
        wait_until(lambda: gone not in videos_of(engine, "AAAAA1"), "its end in the queue")
        wait_until(lambda: gone not in played(redis, "AAAAA1"), "its end in Redis")
        run(engine, "UPDATE sora_posts SET text = 'a dog video now' WHERE id = :id", id=new)
        wait_until(lambda: new not in played(redis, "AAAAA1"), "the end of an edited post")
        wait_until(lambda: redis.get(count_key("dog video", "mixed")) == "31", "its new count")
        wait_until(lambda: is_quiet(engine), "nothing to wait")
        # The sensors have nothing to do.
        assert pending_changes(engine).days == ()
        connections = Connections(addressed)
        assert days_to_refresh(connections) == []
        connections.close()
    assert_right(engine, addressed)
    assert_recorded_once(addressed, instance)


def test_what_is_excluded_leaves_queues_counts_and_pools(
    engine: Engine, addressed: Settings, instance: dg.DagsterInstance, redis_url: str
) -> None:
    add_three(engine)
    run(engine, "UPDATE sora_posts SET creator_id = 'ann' WHERE id LIKE 'p_cat%'")
    with reacting(addressed, instance), Redis.from_url(redis_url, decode_responses=True) as redis:
        wait_until(lambda: redis.get(count_key("cat video", "mixed")) == "21", "a count")
        wait_until(lambda: is_quiet(engine), "nothing to wait")
        before = played(redis, "AAAAA1")
        others = {name: run(engine, _OF_DISPLAY, id=name) for name in ("BBBBB2", "CCCCC3")}
        gone = before[1]
        # By plain SQL, as another program may do it: nothing settles the display but `react`.
        exclude = (
            "INSERT INTO blocklist (kind, target_id, excluded_by) VALUES (:kind, :id, 'another')"
        )
        run(engine, exclude, kind="post", id=gone)
        wait_until(lambda: gone not in videos_of(engine, "AAAAA1"), "its end in the queue")
        wait_until(lambda: gone not in played(redis, "AAAAA1"), "its end in Redis")
        wait_until(lambda: redis.get(count_key("cat video", "mixed")) == "20", "the count")
        run(engine, exclude, kind="creator", id="ann")
        wait_until(lambda: redis.get(count_key("cat video", "mixed")) == "9", "the count")
        wait_until(
            lambda: all(post.startswith("tall") for post in played(redis, "AAAAA1")), "only others"
        )
        # A new post of the creator is excluded too.
        (new,) = add_posts(engine, "cat video", 1, prefix="new", day=1)
        run(engine, "UPDATE sora_posts SET creator_id = 'ann' WHERE id = :id", id=new)
        wait_until(lambda: is_quiet(engine), "nothing to wait")
        assert redis.get(count_key("cat video", "mixed")) == "9"
        assert_right(engine, addressed)
        run(engine, "DELETE FROM blocklist")
        run(engine, "DELETE FROM sora_posts WHERE id = :id", id=new)
        wait_until(lambda: redis.get(count_key("cat video", "mixed")) == "21", "the count")
        wait_until(lambda: played(redis, "AAAAA1") == before, "what played before")
        wait_until(lambda: is_quiet(engine), "nothing to wait")
        assert {name: run(engine, _OF_DISPLAY, id=name) for name in others} == others
        connections = Connections(addressed)
        assert days_to_refresh(connections) == []
        connections.close()
    assert_right(engine, addressed)
    assert_recorded_once(addressed, instance)


def test_a_burst_of_posts_is_applied(
    engine: Engine, addressed: Settings, instance: dg.DagsterInstance, redis_url: str
) -> None:
    add_three(engine)
    with reacting(addressed, instance), Redis.from_url(redis_url, decode_responses=True) as redis:
        wait_until(lambda: redis.get(count_key("cat video", "mixed")) == "21", "a count")
        ids: list[str] = []
        for part in range(5):
            ids += add_posts(engine, "cat video", 1_000, prefix=f"burst{part}", day=part)
        wait_until(lambda: redis.get(count_key("cat video", "mixed")) == "5021", "the count")
        newest = max(ids)
        wait_until(lambda: newest in played(redis, "AAAAA1"), "the newest post")
        run(engine, "DELETE FROM sora_posts WHERE id LIKE 'burst%' AND id <> :id", id=newest)
        wait_until(lambda: redis.get(count_key("cat video", "mixed")) == "22", "the count")
        wait_until(
            lambda: [post for post in played(redis, "AAAAA1") if "burst" in post] == [newest],
            "the end of the others",
        )
        wait_until(lambda: is_quiet(engine), "nothing to wait")
    assert_right(engine, addressed)
    assert_recorded_once(addressed, instance)


def test_totals_that_a_killed_process_left_behind_are_cached(
    engine: Engine, addressed: Settings, instance: dg.DagsterInstance, redis_url: str
) -> None:
    add_wall(engine)
    with reacting(addressed, instance), Redis.from_url(redis_url, decode_responses=True) as redis:
        wait_until(lambda: redis.get(count_key("cat video", "mixed")) == "12", "a count")
    add_posts(engine, "cat video", 3, prefix="new", day=1)
    connections = Connections(addressed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sorafeed_assets.services.settle.refresh_totals", _killed)
        with pytest.raises(RuntimeError, match="killed"):
            connections.settler.apply_posts()
    connections.close()
    assert pending_changes(engine).days == ()
    with reacting(addressed, instance), Redis.from_url(redis_url, decode_responses=True) as redis:
        wait_until(lambda: redis.get(count_key("cat video", "mixed")) == "15", "the count")
        wait_until(lambda: is_quiet(engine), "nothing to wait")
    assert_recorded_once(addressed, instance)


def _killed(_engine: Engine) -> None:
    raise RuntimeError("killed")
