"""`sorafeed react`: one process leads, another takes over; nothing is lost or recorded twice."""

import logging
import signal
import subprocess
import sys
import time
from pathlib import Path
from subprocess import Popen

import dagster as dg
import pytest
from redis import Redis
from sqlalchemy import Engine, create_engine, text

from sorafeed_assets.launch import react as react_module
from sorafeed_assets.launch.dagster_home import environment
from sorafeed_assets.services.counts.terms import watch_term
from sorafeed_assets.services.counts.totals import totals_are_behind
from sorafeed_assets.services.settle import Settler
from sorafeed_assets.services.timelines.plan_ends import PlanEnds
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.cache.redis import count_key, timeline_key
from sorafeed_assets.storage.playlists.changes import CHANNEL
from sorafeed_assets_tests.catalogue import run, videos_of
from sorafeed_assets_tests.cli.running import environment as command_environment
from sorafeed_assets_tests.cli.running import start, wait_until
from sorafeed_assets_tests.launch.reacting import (
    WAITING,
    add_wall,
    assert_recorded_once,
    events_of,
    is_quiet,
    reacting,
)
from sorafeed_assets_tests.wall import add_display, add_playlist

_HOLDER = "SELECT holder FROM leases WHERE name = 'react' AND expires_at > clock_timestamp()"
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


def test_what_plain_sql_writes_is_played_cached_and_recorded(
    engine: Engine,
    addressed: Settings,
    instance: dg.DagsterInstance,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # None of this may be left to the repair.
    monkeypatch.setattr(react_module, "_MEND_SECONDS", 3_600.0)
    with reacting(addressed, instance), Redis.from_url(redis_url, decode_responses=True) as redis:
        add_wall(engine)
        wait_until(lambda: len(videos_of(engine, "AAAAA1")) == 5, "a queue")
        wait_until(lambda: redis.exists(timeline_key("AAAAA1")), "a snapshot")
        # The playlist's term is new: it is counted, and its totals are cached.
        wait_until(lambda: redis.get(count_key("cat video", "mixed")) == "12", "a count")
        wait_until(lambda: events_of(instance, "timeline_cache"), "a record")
        wait_until(lambda: is_quiet(engine), "nothing to wait")
        run(engine, "DELETE FROM displays")
        wait_until(lambda: not redis.exists(timeline_key("AAAAA1")), "the snapshot's end")
        wait_until(lambda: not instance.get_dynamic_partitions("displays"), "the partition's end")
    assert_recorded_once(addressed, instance)


def test_totals_left_behind_are_refreshed_after_each_repair(
    engine: Engine,
    addressed: Settings,
    instance: dg.DagsterInstance,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add_wall(engine)
    key, repairs = count_key("cat video", "mixed"), []

    def mend(*_: object) -> set[str]:
        with Redis.from_url(redis_url, decode_responses=True) as redis:
            wait_until(lambda: redis.get(key) == "12", "a count")
        # Some passes over posts later, a process ends before it refreshes the totals.
        time.sleep(0.5)
        run(engine, "UPDATE video_counts_daily SET count = count - 1 WHERE format = 'mixed'")
        repairs.append(totals_are_behind(engine))
        return set()

    monkeypatch.setattr(react_module, "mend", mend)
    with reacting(addressed, instance):
        wait_until(lambda: repairs, "a repair")
        wait_until(lambda: not totals_are_behind(engine), "current totals")
    assert repairs == [True]


def test_a_watched_term_is_counted_and_all_that_follows_recorded(
    engine: Engine, addressed: Settings, instance: dg.DagsterInstance, redis_url: str
) -> None:
    add_wall(engine)
    assets = ("search_terms", "video_counts_daily", "video_counts_by_search", "video_candidates")
    with reacting(addressed, instance), Redis.from_url(redis_url, decode_responses=True) as redis:
        wait_until(lambda: redis.get(count_key("cat video", "mixed")) == "12", "a count")
        wait_until(lambda: is_quiet(engine), "nothing to wait")
        before = {asset: len(events_of(instance, asset)) for asset in (*assets, "count_cache")}
        assert watch_term(engine, "Video number") == "video number"
        wait_until(lambda: redis.get(count_key("video number", "mixed")) == "12", "its count")
        wait_until(
            lambda: all(len(events_of(instance, asset)) > n for asset, n in before.items()),
            "its records",
        )
        wait_until(lambda: is_quiet(engine), "nothing to wait")
    assert_recorded_once(addressed, instance)


def test_two_of_one_host_name_and_process_id_do_not_share_the_lease(
    engine: Engine, addressed: Settings, instance: dg.DagsterInstance
) -> None:
    # As containers in the network of one host have them.
    holders = set()
    for _ in range(2):
        with reacting(addressed, instance):
            holders |= {holder for (holder,) in run(engine, _HOLDER)}
    assert len(holders) == 2


def test_another_process_leads_after_a_kill(
    engine: Engine, addressed: Settings, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    variables = environment(addressed)
    processes: dict[str, Popen[bytes]] = {}
    try:
        for name in ("one", "two"):
            folder = str(tmp_path / name)
            process = start(tmp_path / f"{name}.log", "react", "--data-dir", folder, **variables)
            processes[str(process.pid)] = process
        logs = [tmp_path / "one.log", tmp_path / "two.log"]
        wait_until(lambda: run(engine, _HOLDER), "a leader")
        add_wall(engine)
        wait_until(lambda: len(videos_of(engine, "AAAAA1")) == 5, "a queue")
        # Both have to be running, or the test would measure a start.
        wait_until(lambda: _connections_of(engine) >= 2, "both")
        ((holder,),) = run(engine, _HOLDER)
        leader = processes[holder.split(":")[1]]
        leader.send_signal(signal.SIGKILL)
        leader.wait(60)
        wait_until(lambda: run(engine, _HOLDER) not in ([], [(holder,)]), "another leader")
        add_display(engine, "BBBBB2")
        add_playlist(engine, "BBBBB2", [("video", 3)])
        wait_until(lambda: len(videos_of(engine, "BBBBB2")) == 5, "its queue")
        wait_until(lambda: "BBBBB2" in _recorded(instance, "timeline_cache"), "its record")
        wait_until(lambda: is_quiet(engine), "nothing to wait")
        (left,) = [process for process in processes.values() if process is not leader]
        left.terminate()
        assert left.wait(60) == 0
        assert run(engine, _HOLDER) == []
    finally:
        for process in processes.values():
            process.kill()
            process.wait(60)
    said = [log.read_text() for log in logs]
    assert sorted(text.count("this process leads now") for text in said) == [1, 1], said
    assert_recorded_once(addressed, instance)


def _connections_of(engine: Engine) -> int:
    """How many processes listen for changes."""
    listening = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND query = :q"
    return len(run(engine, listening, q="SELECT")) + len(
        run(engine, listening, q=f"LISTEN {CHANNEL}")
    )


def _recorded(instance: dg.DagsterInstance, asset: str) -> set[str]:
    return set(instance.get_materialized_partitions(dg.AssetKey(asset)))


def test_dagster_away_lets_records_wait_and_nothing_else(
    engine: Engine, addressed: Settings, instance: dg.DagsterInstance, redis_url: str
) -> None:
    admin = create_engine(engine.url.set(database="postgres"), isolation_level="AUTOCOMMIT")
    name = str(addressed.dagster_url).rpartition("/")[2]
    with reacting(addressed, instance), Redis.from_url(redis_url, decode_responses=True) as redis:
        with admin.begin() as connection:
            connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
            connection.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :n"),
                {"n": name},
            )
        add_wall(engine)
        wait_until(lambda: len(videos_of(engine, "AAAAA1")) == 5, "a queue")
        wait_until(lambda: redis.exists(timeline_key("AAAAA1")), "a snapshot")
        wait_until(lambda: redis.get(count_key("cat video", "mixed")) == "12", "a count")
        assert run(engine, WAITING)
        with admin.begin() as connection:
            connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
        wait_until(lambda: is_quiet(engine), "nothing to wait")
    admin.dispose()
    assert_recorded_once(addressed, instance)


# `sorafeed react`, killed once Dagster has the records of an asset, before they are marked.
_KILLED_AFTER = """
import os, signal, sys
from sorafeed_assets.defs import recording

store, asset = recording.store_events, sys.argv.pop(1)

def store_and_die(instance, events, step):
    store(instance, events, step)
    if events[0].asset_key.to_user_string() == asset:
        os.kill(os.getpid(), signal.SIGKILL)

recording.store_events = store_and_die
from sorafeed_assets.cli import main
main()
"""


def test_a_kill_between_giving_and_marking_records_nothing_twice(
    engine: Engine, addressed: Settings, instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    add_wall(engine)
    variables = environment(addressed)
    for asset in ("video_counts_daily", "display_timelines"):
        # Timelines may be recorded before counts exist, so each round has new ones.
        run(engine, "UPDATE playlist_blocks SET video_count = video_count + 1")
        command = [sys.executable, "-c", _KILLED_AFTER, asset, "react", "--data-dir", str(tmp_path)]
        killed = subprocess.run(
            command,
            env=command_environment(**variables),
            capture_output=True,
            timeout=240,
            check=False,
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
        assert events_of(instance, asset)
        assert run(engine, WAITING)
    with reacting(addressed, instance):
        wait_until(lambda: is_quiet(engine), "nothing to wait")
    assert_recorded_once(addressed, instance)


# The function that each loop of `React` calls, to be replaced by a failing one.
_LOOPS: dict[str, tuple[object, str]] = {
    "lease": (react_module, "renew_lease"),
    "listen": (react_module, "make_url"),
    "settle": (Settler, "settle_changed"),
    "clock": (react_module, "note_due"),
    "queues": (react_module, "low_displays"),
    "count": (Settler, "count_waiting_terms"),
    "posts": (Settler, "apply_posts"),
    "prefetch": (PlanEnds, "ending"),
    "record": (react_module, "record_waiting"),
    "mend": (react_module, "mend"),
}


@pytest.mark.parametrize("part", _LOOPS)
def test_a_round_that_fails_is_logged_and_the_next_goes_on(
    engine: Engine,
    addressed: Settings,
    instance: dg.DagsterInstance,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    part: str,
) -> None:
    owner, name = _LOOPS[part]
    original = getattr(owner, name)
    failures: list[int] = []

    def fail_twice(*arguments: object, **options: object) -> object:
        if len(failures) < 2:
            failures.append(1)
            raise RuntimeError("nobody expected this")
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, fail_twice)
    monkeypatch.setattr(react_module, "_QUEUES_SECONDS", 0.2)
    add_wall(engine)
    with caplog.at_level(logging.ERROR, "sorafeed_assets"), reacting(addressed, instance):
        wait_until(lambda: len(videos_of(engine, "AAAAA1")) == 5, "a queue")
        wait_until(lambda: events_of(instance, "count_cache"), "a count")
        wait_until(lambda: is_quiet(engine) and len(failures) == 2, "nothing to wait")
    assert f"{part} failed, 2 times in a row" in caplog.text
    assert "nobody expected this" in caplog.text
