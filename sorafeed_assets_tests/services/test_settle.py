"""Settling: each part of it, in any order, by several callers at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from sorafeed_assets.domain.errors import NotFoundError
from sorafeed_assets.services.counts.reads import term_totals
from sorafeed_assets.services.counts.refresh import refresh_days
from sorafeed_assets.services.counts.terms import tracked_terms, unwatch_term, watch_term
from sorafeed_assets.services.counts.totals import refresh_totals
from sorafeed_assets.services.playlists.deleting import delete_display, delete_playlist
from sorafeed_assets.services.settle import Settler
from sorafeed_assets.services.timelines.checks import check_plans, check_queues
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.cache.redis import count_key, timeline_key
from sorafeed_assets.storage.counts import daily
from sorafeed_assets.storage.lineage_records import heads
from sorafeed_assets.storage.playlists.changes import changed_displays
from sorafeed_assets_tests.catalogue import run, videos_of
from sorafeed_assets_tests.statements import before_each
from sorafeed_assets_tests.wall import add_display, add_playlist, add_posts

CODES = [f"WALL{number:02}" for number in range(6)]


@pytest.fixture
def wall(engine: Engine, settler: Settler) -> Settler:
    add_posts(engine, "cat video", 20)
    for code in CODES:
        add_display(engine, code)
        add_playlist(engine, code, [("cat video", 5)])
    settler.settle_changed()
    settler.count_waiting_terms()
    return settler


def _changed(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return set(changed_displays(connection))


def _heads(engine: Engine, asset: str) -> dict[str, str]:
    with engine.connect() as connection:
        return heads(connection, asset).get(asset, {})


def test_plain_sql_waits_and_is_settled_once(
    engine: Engine, settler: Settler, settings: Settings
) -> None:
    add_posts(engine, "cat video", 20)
    add_display(engine, "AAAAA1")
    add_playlist(engine, "AAAAA1", [("cat video", 5)])
    assert _changed(engine) == {"AAAAA1"}
    settled = settler.settle_changed()
    assert settled is not None
    assert settled.changed == ["AAAAA1"]
    assert settled.terms_changed
    assert settler.settle_changed() is None
    assert len(videos_of(engine, "AAAAA1")) == settings.window
    for asset in ("playlists", "active_playlists", "display_timelines", "timeline_cache"):
        assert set(_heads(engine, asset)) == {"AAAAA1"}
    records = run(engine, "SELECT count(*) FROM lineage_records")
    assert settler.settle(["AAAAA1"]).changed == []
    assert run(engine, "SELECT count(*) FROM lineage_records") == records


def test_a_display_that_is_gone_leaves_nothing(engine: Engine, wall: Settler, redis: Redis) -> None:
    run(engine, "DELETE FROM displays WHERE id = :id", id=CODES[0])
    settled = wall.settle_changed()
    assert settled is not None
    assert settled.gone == (CODES[0],)
    assert CODES[0] not in _heads(engine, "display_timelines")
    assert _changed(engine) == set()
    assert not redis.exists(timeline_key(CODES[0]))


def test_a_change_made_while_settling_stays_to_be_settled(engine: Engine, wall: Settler) -> None:
    run(engine, "UPDATE playlist_blocks SET video_count = 4")

    added: list[object] = []

    def edit(_cursor: object, statement: str, _parameters: object) -> None:
        if "INSERT INTO timeline_builds" in statement and not added:
            added.append(statement)
            add_playlist(engine, CODES[0], [("video", 2)])

    with before_each(engine, edit):
        wall.settle(CODES)
    assert _changed(engine) == {CODES[0]}
    wall.settle_changed()
    assert _changed(engine) == set()


def _all_at_once(*works: Callable[[], object]) -> None:
    start = Barrier(len(works))

    def begin(work: Callable[[], object]) -> None:
        start.wait(60)
        work()

    with ThreadPoolExecutor(len(works)) as pool:
        for done in [pool.submit(begin, work) for work in works]:
            done.result(120)


def _settle(settler: Settler, codes: list[str]) -> None:
    for _ in range(6):
        assert settler.settle(codes).failed == {}


def _edit_one_by_one(engine: Engine, codes: list[str]) -> None:
    for count in range(6):
        for code in codes:
            run(
                engine,
                "UPDATE playlist_blocks SET video_count = :count WHERE playlist_id IN"
                " (SELECT id FROM playlists WHERE display_id = :code)",
                count=2 + count,
                code=code,
            )
            run(engine, "UPDATE displays SET name = 'x' WHERE id = :code", code=code)


def _edit_together(engine: Engine, codes: list[str]) -> None:
    for count in range(6):
        with engine.begin() as connection:
            for code in codes:
                connection.execute(
                    text("UPDATE playlists SET name = :name WHERE display_id = :code"),
                    {"name": f"show {count}", "code": code},
                )


def _delete_and_make(engine: Engine) -> None:
    for _ in range(4):
        playlist = add_playlist(engine, CODES[1], [("video", 3)])
        delete_playlist(engine, playlist)
        delete_display(engine, CODES[2])
        add_display(engine, CODES[2])
        add_playlist(engine, CODES[2], [("cat video", 3)])


def test_no_deadlock_reaches_a_caller(engine: Engine, wall: Settler, settings: Settings) -> None:
    """Settling in any order, deletes, and plain SQL over many displays in reverse order."""
    _all_at_once(
        lambda: _settle(wall, CODES),
        lambda: _settle(wall, CODES[::-1]),
        lambda: _edit_one_by_one(engine, CODES[::-1]),
        lambda: _edit_together(engine, CODES),
        lambda: _delete_and_make(engine),
    )
    wall.settle_changed()
    assert _changed(engine) == set()
    assert check_queues(engine, CODES, settings.window) == {}
    assert check_plans(engine, CODES) == {}


def test_watching_a_term_that_is_being_counted_loses_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_posts(engine, "cat video", 20)
    watch_term(engine, "cat video")
    watch_term(engine, "video number")
    unwatch_term(engine, "video number")
    counting, watched = Event(), Event()
    mark = daily.mark_counted

    def wait_then_mark(*args: object) -> None:
        counting.set()
        assert watched.wait(60)
        mark(*args)  # type: ignore[arg-type]  # what it was called with

    monkeypatch.setattr(daily, "mark_counted", wait_then_mark)
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(refresh_days, engine, (), pool_size=5)
        assert counting.wait(60)
        assert watch_term(engine, "cat video") == "cat video"
        assert watch_term(engine, "video number") == "video number"
        assert watch_term(engine, "another") == "another"
        unwatch_term(engine, "cat video")
        watched.set()
        assert done.result(60).terms_counted >= 1
    refresh_totals(engine)
    assert term_totals(engine)["cat video", "mixed"] == 20


def test_counting_while_terms_go(engine: Engine, wall: Settler) -> None:
    def count() -> None:
        for number in range(6):
            add_posts(engine, "cat video", 2, prefix=f"more{number}")
            refresh_days(engine, None, pool_size=5)

    def watch() -> None:
        for number in range(12):
            watch_term(engine, f"number more{number}")
            try:
                unwatch_term(engine, f"number more{number}")
            except NotFoundError:
                continue

    def edit() -> None:
        for number in range(6):
            run(
                engine,
                "UPDATE playlist_blocks SET search_term = :term",
                term=("cat video", "video", "a cat")[number % 3],
            )
            wall.settle_changed()

    _all_at_once(count, watch, edit)
    run(engine, "UPDATE playlist_blocks SET search_term = 'cat video'")
    wall.settle_changed()
    wall.count_waiting_terms()
    wall.follow_terms()
    assert tracked_terms(engine) == ["cat video"]
    refresh_days(engine, None, pool_size=5)
    refresh_totals(engine)
    assert term_totals(engine)["cat video", "mixed"] == 32


def test_totals_are_cached_though_another_process_has_just_counted(
    engine: Engine, wall: Settler, redis: Redis
) -> None:
    add_posts(engine, "cat video", 3, prefix="later")
    refresh_days(engine, None, pool_size=500)  # and its totals are not refreshed yet
    wall.cache_counts()
    assert redis.get(count_key("cat video", "mixed")) == "23"
