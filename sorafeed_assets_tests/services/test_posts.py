"""New, edited and deleted posts: applied without blocking plays, settled where plans change."""

from threading import Event, Thread

import pytest
from redis import Redis
from sqlalchemy import Engine

from sorafeed_assets.services.counts.reads import uncounted_terms
from sorafeed_assets.services.settle import Settler
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.cache.redis import timeline_key
from sorafeed_assets.storage.counts import daily
from sorafeed_assets.storage.playlists.changes import changed_displays
from sorafeed_assets_tests.catalogue import queue_of, run, videos_of
from sorafeed_assets_tests.wall import add_display, add_playlist, add_posts

POOL = 10


@pytest.fixture
def settler(engine: Engine, settings: Settings, redis: Redis) -> Settler:
    small = settings.model_copy(update={"candidates_per_pool": POOL})
    return Settler.of(engine, redis, small)


def _settle_all(settler: Settler) -> None:
    while settler.settle_changed() or settler.count_waiting_terms():
        pass


def _changed(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return set(changed_displays(connection))


@pytest.fixture
def wall(engine: Engine, settler: Settler) -> Settler:
    """A display of newest cats, and one of random cats."""
    add_posts(engine, "cat video", 30)
    for code, mode in (("AAAAA1", "newest"), ("BBBBB2", "random")):
        add_display(engine, code)
        add_playlist(engine, code, [("cat video", 15)], mode=mode)
    settler.apply_posts()
    _settle_all(settler)
    assert _changed(engine) == set()
    return settler


def test_a_play_does_not_wait_for_counting(
    engine: Engine, wall: Settler, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_posts(engine, "cat video", 3, prefix="new", day=1)
    begun, go_on = Event(), Event()
    original = daily.advance_days

    def wait(*arguments: object) -> None:
        original(*arguments)  # type: ignore[arg-type]  # passed on unchanged
        begun.set()
        assert go_on.wait(60)

    monkeypatch.setattr(daily, "advance_days", wait)
    counting = Thread(target=wall.apply_posts)
    counting.start()
    try:
        assert begun.wait(60)
        service = TimelineService(engine, window=settings.window, candidates_per_pool=POOL)
        # Past the end of the loop: planning the next one does not wait for counting either.
        for _ in range(20):
            head = queue_of(engine, "AAAAA1")[0]
            service.playback.begin("AAAAA1", head.id, lambda *_: None)
            assert service.playback.advance("AAAAA1", head.id).queued == settings.window
        assert counting.is_alive()
    finally:
        go_on.set()
        counting.join(60)
    _settle_all(wall)
    assert _changed(engine) == set()


def test_a_deleted_post_leaves_a_plan_that_reached_beyond_the_pool(
    engine: Engine, wall: Settler, redis: Redis
) -> None:
    ((plan,),) = run(
        engine,
        "SELECT b.plan FROM displays d JOIN timeline_builds b ON b.id = d.active_build_id"
        " WHERE d.id = 'AAAAA1'",
    )
    planned = [pick["video_id"] for pick in plan["loops"][0]["picks"]]
    pooled = {row.post_id for row in run(engine, "SELECT post_id FROM video_candidates")}
    beyond = [post for post in planned if post not in pooled]
    assert beyond
    run(engine, "DELETE FROM sora_posts WHERE id = :id", id=beyond[-1])
    wall.apply_posts()
    assert "AAAAA1" in _changed(engine)
    _settle_all(wall)
    ((plan,),) = run(
        engine,
        "SELECT b.plan FROM displays d JOIN timeline_builds b ON b.id = d.active_build_id"
        " WHERE d.id = 'AAAAA1'",
    )
    assert beyond[-1] not in [pick["video_id"] for pick in plan["loops"][0]["picks"]]


def test_what_no_pool_wants_settles_nobody(engine: Engine, wall: Settler) -> None:
    add_posts(engine, "dog video", 5, prefix="dog")
    run(
        engine,
        "INSERT INTO sora_posts (id, text, posted_at, indexed_at, width, height)"
        " SELECT 'old', 'an old cat video', posted_at - interval '1 year', indexed_at, 640, 352"
        " FROM sora_posts LIMIT 1",
    )
    assert wall.apply_posts() == 6
    assert "AAAAA1" not in _changed(engine)


def test_snapshots_are_written_of_displays_whose_plan_changed(
    engine: Engine, wall: Settler, redis: Redis
) -> None:
    add_posts(engine, "cat video", 1, prefix="new", day=1)
    wall.apply_posts()
    redis.delete(timeline_key("AAAAA1"), timeline_key("BBBBB2"))
    run(engine, "INSERT INTO display_changes (display_id, is_urgent) VALUES ('BBBBB2', false)")
    unchanged = videos_of(engine, "BBBBB2")
    settled = wall.settle_changed()
    assert settled is not None
    assert "AAAAA1" in settled.changed
    assert redis.exists(timeline_key("AAAAA1"))
    assert _changed(engine) == set()
    if "BBBBB2" not in settled.changed:
        assert videos_of(engine, "BBBBB2") == unchanged
        assert not redis.exists(timeline_key("BBBBB2"))


def test_posts_do_not_wait_for_a_new_term(engine: Engine, wall: Settler) -> None:
    add_playlist(engine, "AAAAA1", [("video number", 3)])
    wall.settle_changed()
    assert list(uncounted_terms(engine)) == ["video number"]
    add_posts(engine, "cat video", 2, prefix="new", day=1)
    assert wall.apply_posts() == 2
    assert list(uncounted_terms(engine)) == ["video number"]
    _settle_all(wall)
    rows = run(engine, "SELECT total_count FROM video_counts_by_search WHERE format = 'mixed'")
    assert [row.total_count for row in rows] == [32, 32]
