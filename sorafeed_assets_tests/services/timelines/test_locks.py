"""Writers of the same data wait for each other, and their result is correct."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from sorafeed_assets.chaos.observing import Waits
from sorafeed_assets.domain.errors import BusyError, NotFoundError
from sorafeed_assets.services import commands
from sorafeed_assets.services.cache.write import (
    check_timeline_cache,
    write_admin_snapshot,
    write_count_cache,
    write_timeline_cache,
)
from sorafeed_assets.services.counts.pools import refresh_candidates, sample_pools
from sorafeed_assets.services.counts.reads import sample_recount
from sorafeed_assets.services.counts.refresh import refresh_days
from sorafeed_assets.services.counts.terms import watch_term
from sorafeed_assets.services.counts.totals import refresh_totals
from sorafeed_assets.services.timelines.advancing import Advance, Play
from sorafeed_assets.services.timelines.checks import check_plans, check_queues
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.storage.counts.daily import lock_counts
from sorafeed_assets.storage.playlists.rows import lock_displays
from sorafeed_assets.storage.postgres.locks import LockSpace, lock, try_lock
from sorafeed_assets_tests.catalogue import queue_of, run
from sorafeed_assets_tests.wall import (
    activate_pending,
    add_display,
    add_playlist,
    add_posts,
    hold_snapshots,
)

_WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


@pytest.fixture
def service(engine: Engine) -> TimelineService:
    add_posts(engine, "cat video", 30)
    add_display(engine, "AAAAA1")
    add_playlist(engine, "AAAAA1", [("cat video", 8)])
    activate_pending(engine)
    service = TimelineService(engine)
    service.repopulate(["AAAAA1"])
    return service


def _waits(engine: Engine, lock: Callable[..., object], work: Callable[[], object]) -> None:
    """Assert that ``work`` waits while another transaction holds ``lock``."""
    with ThreadPoolExecutor(1) as pool:
        with engine.begin() as holder:
            lock(holder)
            future = pool.submit(work)
            deadline = time.monotonic() + 60
            while not run(engine, _WAITING)[0][0]:
                assert not future.done(), "it did not wait"
                assert time.monotonic() < deadline
        future.result(60)


def test_writers_of_a_queue_wait(engine: Engine, service: TimelineService) -> None:
    display = ["AAAAA1"]
    head = queue_of(engine, "AAAAA1")[0].id
    for work in (
        lambda: service.repopulate(display),
        lambda: service.playback.advance("AAAAA1", head),
    ):
        _waits(engine, lambda connection: lock_displays(connection, display), work)


@pytest.mark.usefixtures("service")
def test_writers_of_snapshots_wait(engine: Engine, redis: Redis) -> None:
    for work in (
        lambda: write_count_cache(engine, redis, ttl=100),
        lambda: write_timeline_cache(engine, redis, ["AAAAA1"], ttl=100),
        lambda: write_timeline_cache(engine, redis, ttl=100),
        lambda: write_admin_snapshot(engine, redis, ttl=100),
        lambda: check_timeline_cache(engine, redis),
    ):
        _waits(engine, hold_snapshots, work)
    redis.close()


def test_a_play_waits_for_few_other_displays(engine: Engine, redis: Redis) -> None:
    names = [f"MANY{number:02}" for number in range(45)]
    for name in names:
        add_display(engine, name)
    for work in (
        lambda: write_timeline_cache(engine, redis, ttl=100),
        lambda: check_timeline_cache(engine, redis),
    ):
        with ThreadPoolExecutor(1) as pool:
            with engine.begin() as holder:
                lock(holder, LockSpace.SNAPSHOT, names[-1:])
                future = pool.submit(work)
                deadline = time.monotonic() + 60
                while not run(engine, _WAITING)[0][0]:
                    assert time.monotonic() < deadline
                # Those before the last twenty are free again.
                free = try_lock(holder, [LockSpace.SNAPSHOT], names)
            future.result(60)
        assert len(free) >= 25
    redis.close()


def test_writers_of_counts_wait(engine: Engine) -> None:
    for work in (
        lambda: refresh_days(engine, None, pool_size=5),
        lambda: refresh_candidates(engine, pool_size=5),
    ):
        _waits(engine, lock_counts, work)


def test_refreshes_at_once_count_everything_once(engine: Engine) -> None:
    watch_term(engine, "cat")
    start = Barrier(3)

    def refresh() -> None:
        start.wait(60)
        refresh_days(engine, None, pool_size=5)

    with ThreadPoolExecutor(3) as pool:
        for number in range(4):
            add_posts(engine, "cat", 7, prefix=f"round{number}", day=number % 2)
            for done in [pool.submit(refresh) for _ in range(3)]:
                done.result(120)
    refresh_totals(engine)
    assert [s.stored for s in sample_recount(engine, seed=0, size=1)] == [28, 28, 0]
    assert all(s.is_equal for s in sample_pools(engine, seed=0, size=1, pool_size=5))


def test_players_and_rebuilds_at_once_lose_no_play(
    engine: Engine, service: TimelineService
) -> None:
    rounds = 15
    advanced: list[object] = []

    def play() -> None:
        for _ in range(rounds):
            head = queue_of(engine, "AAAAA1")[0]
            try:
                advanced.append(service.playback.advance("AAAAA1", head.id).timeline_video_id)
            except NotFoundError:
                continue  # an edit removed it from the queue meanwhile

    def edit() -> None:
        for count in range(rounds):
            with engine.begin() as connection:
                connection.execute(
                    text("UPDATE playlist_blocks SET video_count = :n"), {"n": 3 + count % 6}
                )
            service.repopulate(["AAAAA1"])

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work) for work in (play, edit, play, edit)]:
            done.result(120)
    service.repopulate(["AAAAA1"])
    assert check_queues(engine, ["AAAAA1"], window=5) == {}
    assert check_plans(engine, ["AAAAA1"]) == {}
    plays = {row.timeline_video_id for row in run(engine, "SELECT * FROM video_history")}
    assert advanced
    assert set(advanced) <= plays


def test_a_player_of_a_locked_display_is_told_so_and_waits_for_no_lock(
    engine: Engine, service: TimelineService, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "_BUSY_SECONDS", 0.5)
    player = commands.Commands(engine, redis, service, ttl=100)
    head = queue_of(engine, "AAAAA1")[0]
    waits, stop = Waits(engine), Event()
    with ThreadPoolExecutor(1) as pool:
        observing = pool.submit(waits.observe, stop)
        with engine.begin() as holder:
            lock_displays(holder, ["AAAAA1"])
            assert isinstance(player.mark_played_alone(Play("AAAAA1", head.id)), BusyError)
            with pytest.raises(BusyError):
                player.begin("AAAAA1", head.id)
        stop.set()
        observing.result(60)
    assert waits.long("") == []
    assert player.begin("AAAAA1", head.id)
    answer = player.mark_played_alone(Play("AAAAA1", head.id))
    assert isinstance(answer, Advance)
    assert answer.video_id == head.video_id
    redis.close()
