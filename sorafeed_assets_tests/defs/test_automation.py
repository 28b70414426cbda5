"""Schedule and sensors on a real instance: when each requests runs, and which."""

from datetime import UTC, date, datetime, timedelta
from threading import Event, Thread

import dagster as dg
import pytest
from sqlalchemy import Engine

from sorafeed_assets.defs import requests
from sorafeed_assets.defs.common import run_over_days
from sorafeed_assets.defs.counts import automation
from sorafeed_assets.defs.dagster_internals import range_tags
from sorafeed_assets.defs.timelines.automation import ASSETS
from sorafeed_assets.domain.automation import INSERTS_WORTH_A_REFRESH
from sorafeed_assets.domain.errors import CountsAuditError, SorafeedError
from sorafeed_assets.domain.playlists.playlist import BlockDraft, FetchMode
from sorafeed_assets.services.counts.terms import watch_term
from sorafeed_assets.services.counts.totals import refresh_totals
from sorafeed_assets.services.playlists.editing import replace_blocks
from sorafeed_assets.services.timelines import builder
from sorafeed_assets.services.timelines.queues import stale_displays
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets_tests.catalogue import queue_of, run, videos_of
from sorafeed_assets_tests.defs.conftest import Dagster
from sorafeed_assets_tests.wall import START, add_display, add_playlist, add_posts

_JOB = "refresh_counts"


def _hourly(dagster: Dagster) -> dg.RunRequest:
    """The run that the schedule requests."""
    schedule = dagster.definitions.resolve_schedule_def("hourly_counts")
    context = dg.build_schedule_context(
        instance=dagster.instance,
        scheduled_execution_time=datetime(2026, 5, 1, 12, tzinfo=UTC),
        resources={"connections": dagster.connections},
    )
    (asked,) = schedule.evaluate_tick(context).run_requests or []
    return asked


def _days(asked: dg.RunRequest) -> list[str]:
    config: list[str] = asked.run_config["ops"]["video_counts_daily"]["config"]["days"]
    return config


def _refresh(dagster: Dagster, asked: dg.RunRequest) -> None:
    assert dagster.run(_JOB, tags=asked.tags, config=asked.run_config).success


def _edit(engine: Engine, display: str, count: int) -> None:
    run(engine, "UPDATE playlist_blocks b SET video_count = :count FROM playlists p"
                " WHERE p.id = b.playlist_id AND p.display_id = :display"
                " AND b.block_order = 0", count=count, display=display)  # fmt: skip


def _later(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    """Move the sensors' clock forward."""

    monkeypatch.setattr(requests, "utc_now", lambda: datetime.now(UTC) + by)


def test_the_hour_refreshes_what_changed_and_else_today(engine: Engine, dagster: Dagster) -> None:
    for day in (0, 1, 3):
        add_posts(engine, "cat video", 2, day=day)
    today = datetime.now(UTC).date().isoformat()
    # Days that are not contiguous are one run, and only they are recorded.
    asked = _hourly(dagster)
    assert _days(asked) == ["2026-03-01", "2026-03-02", "2026-03-04"]
    _refresh(dagster, asked)
    assert sorted(dagster.recorded("video_counts_daily")) == _days(asked)
    assert _days(_hourly(dagster)) == [today]  # an hour without changes still renews the caches
    run(engine, "DELETE FROM sora_posts WHERE id = 'p_cat_video_1_0000'")
    assert _days(_hourly(dagster)) == ["2026-03-02"]


def test_posts_of_no_partition_are_counted_with_the_nearest_day(
    engine: Engine, dagster: Dagster
) -> None:
    add_display(engine, "AAAAA1")
    add_playlist(engine, "AAAAA1", [("cat video", 3)])
    dagster.tick_all()
    add_posts(engine, "cat video", 2, prefix="old", day=-700)
    add_posts(engine, "cat video", 3, prefix="future", day=7_000)
    asked = _hourly(dagster)
    today = date.fromisoformat(_days(asked)[-1])
    assert _days(asked) == ["2026-01-01", str(today)]
    _refresh(dagster, run_over_days(_JOB, [date(2026, 1, 1)]))  # any day includes both
    count = "SELECT total_count FROM video_counts_by_search WHERE format = 'mixed'"
    assert run(engine, count) == [(5,)]
    assert run(engine, "SELECT * FROM catalog_changes") == []
    # Their edits and deletes are applied like any other's, and then nothing is left to do.
    run(engine, "DELETE FROM sora_posts WHERE id LIKE 'future%'")
    (refreshed,) = dagster.tick("new_posts")
    assert refreshed.success
    assert run(engine, count) == [(2,)]
    assert dagster.tick("new_posts") == []
    assert dagster.culprits("video_counts_by_search:counts_equal_recount") == ""
    dagster.record()
    assert dagster.lineage().differ == 0


def test_new_posts_wait_for_the_hour_until_they_are_many(engine: Engine, wall: Dagster) -> None:
    wall.record()
    assert wall.tick("new_posts") == []
    add_posts(engine, "cat video", INSERTS_WORTH_A_REFRESH - 1, prefix="new")
    assert wall.tick("new_posts") == []
    add_posts(engine, "cat video", 1, prefix="one", day=1)
    (refreshed,) = wall.tick("new_posts")
    assert refreshed.success
    key = "sorafeed:count:cat video:mixed"
    assert wall.connections.redis.get(key) == str(12 + INSERTS_WORTH_A_REFRESH)


def test_what_came_just_now_is_left_to_react(
    engine: Engine, wall: Dagster, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall.record()
    monkeypatch.setattr(automation, "_LEFT_ALONE", timedelta(minutes=1))
    run(engine, "UPDATE sora_posts SET text = 'a bird' WHERE id = 'p_cat_video_0_0003'")
    watch_term(engine, "bird")
    wall.record()
    assert wall.tick("new_posts") == []
    late = "now() - interval '2 minutes'"
    run(engine, f"UPDATE catalog_changes SET changed_at = {late}")
    (refreshed,) = wall.tick("new_posts")
    assert refreshed.success


def test_new_posts_waits_neither_for_edits_nor_for_new_terms(engine: Engine, wall: Dagster) -> None:
    redis = wall.connections.redis
    run(engine, "UPDATE sora_posts SET text = 'a bird' WHERE id = 'p_cat_video_0_0003'")
    (refreshed,) = wall.tick("new_posts")
    assert refreshed.success
    assert redis.get("sorafeed:count:cat video:mixed") == "11"
    watch_term(engine, "bird")
    (refreshed,) = wall.tick("new_posts")
    assert refreshed.success
    assert redis.get("sorafeed:count:bird:mixed") == "1"
    assert wall.tick("new_posts") == []


def test_new_posts_follows_the_blocklist(engine: Engine, wall: Dagster) -> None:
    redis = wall.connections.redis
    wall.record()
    run(engine, "INSERT INTO blocklist (kind, target_id, excluded_by)"
                " VALUES ('post', 'p_dog_video_0_0007', 'test')")  # fmt: skip
    (settled,) = wall.tick("unsettled")  # the queue has an excluded post
    assert settled.success
    assert "p_dog_video_0_0007" not in videos_of(engine, "BBBBB2")
    wall.tick_all()
    assert redis.get("sorafeed:count:dog video:mixed") == "7"
    wall.tick_all()  # records the days that the run before changed, as it did not know them
    assert wall.tick("new_posts") == []
    run(engine, "DELETE FROM blocklist")
    (refreshed,) = wall.tick("new_posts")
    assert refreshed.success
    wall.tick_all()
    assert redis.get("sorafeed:count:dog video:mixed") == "8"
    assert "p_dog_video_0_0007" in videos_of(engine, "BBBBB2")
    wall.tick_all()
    assert wall.tick("new_posts") == []
    wall.record()
    assert wall.lineage().differ == 0


def test_changed_pools_settle_the_displays_that_use_them(engine: Engine, wall: Dagster) -> None:
    wall.tick_all()
    before = len(wall.runs)
    run(engine, "DELETE FROM sora_posts WHERE id = 'p_dog_video_0_0007'")
    (counted,) = wall.tick("new_posts")
    assert counted.success
    (settled,) = wall.tick("unsettled")
    assert settled.success
    assert "p_dog_video_0_0007" not in videos_of(engine, "BBBBB2")
    wall.tick_all()
    assert len(wall.runs) == before + 2


def test_a_wrong_count_reaches_no_cache(engine: Engine, wall: Dagster) -> None:
    key = "sorafeed:count:cat video:mixed"
    wall.record()
    run(engine, "UPDATE video_counts_daily SET count = 99 WHERE term = 'cat video'"
                " AND format = 'mixed'")  # fmt: skip
    asked = run_over_days(_JOB, [])
    refreshed = wall.run(_JOB, tags=asked.tags, config=asked.run_config)
    assert not refreshed.success
    assert wall.connections.redis.get(key) == "12"
    steps = {event.step_key for event in refreshed.get_step_success_events()}
    assert "video_counts_by_search" in steps
    assert "count_cache" not in steps
    # The repair recounts from the text.
    days = ["2026-03-01"]
    config = {"ops": {"video_counts_daily": {"config": {"days": days, "recount": True}}}}
    repaired = wall.run(_JOB, tags=run_over_days(_JOB, [START.date()]).tags, config=config)
    assert repaired.success
    assert wall.connections.redis.get(key) == "12"


def test_totals_that_contradict_themselves_reach_no_cache(engine: Engine, wall: Dagster) -> None:
    redis, settler = wall.connections.redis, wall.connections.settler
    redis.set("sorafeed:count:cat video:wide", "12")
    run(engine, "UPDATE video_counts_daily SET count = 99 WHERE term = 'cat video'"
                " AND format = 'wide'")  # fmt: skip
    refresh_totals(engine)
    with pytest.raises(CountsAuditError, match="cat video: wide and tall posts exceed all posts"):
        settler.cache_counts()
    settler.write_counts()
    assert redis.get("sorafeed:count:cat video:wide") == "12"


def test_low_queues_are_filled(
    engine: Engine, wall: Dagster, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall.tick_all()
    full = videos_of(engine, "AAAAA1")
    lose = "DELETE FROM timeline_videos WHERE display_id = 'AAAAA1' AND timeline_position > "
    run(engine, lose + "2")  # three are left, which is not low yet
    assert wall.tick("unsettled") == []
    run(engine, lose + "1")
    (filled,) = wall.tick("unsettled")
    assert filled.success
    assert videos_of(engine, "AAAAA1") == full
    assert wall.tick("unsettled") == []
    # The same queue may run low again, but is not requested twice within a minute.
    run(engine, lose + "1")
    assert wall.tick("unsettled") == []
    _later(monkeypatch, timedelta(minutes=2))
    assert len(wall.tick("unsettled")) == 1
    assert videos_of(engine, "AAAAA1") == full


def test_the_next_loop_of_a_plan_that_ran_out_is_prepared(
    engine: Engine, wall: Dagster, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise SorafeedError("no plan today")

    wall.tick_all()
    with monkeypatch.context() as patch:
        patch.setattr(builder, "rebuild", fail)
        while queue := queue_of(engine, "AAAAA1"):
            TimelineService(engine).playback.advance("AAAAA1", queue[0].id)
    (filled,) = wall.tick("unsettled")
    assert filled.success
    assert len(videos_of(engine, "AAAAA1")) == 5
    assert wall.tick("unsettled") == []


def test_displays_come_and_go(engine: Engine, wall: Dagster) -> None:
    redis, instance = wall.connections.redis, wall.instance
    wall.tick_all()
    assert sorted(instance.get_dynamic_partitions("displays")) == ["AAAAA1", "BBBBB2"]
    run(engine, "DELETE FROM displays WHERE id = 'AAAAA1'")
    add_display(engine, "CCCCC3")
    (settled,) = wall.tick("unsettled")
    assert settled.success
    assert wall.tick("unsettled") == []
    assert sorted(instance.get_dynamic_partitions("displays")) == ["BBBBB2", "CCCCC3"]
    assert not redis.exists("sorafeed:timeline:AAAAA1")
    assert redis.exists("sorafeed:timeline:BBBBB2")
    assert run(engine, "SELECT * FROM lineage_records WHERE partition = 'AAAAA1'") == []
    # Writing all snapshots again drops any that are left over.
    redis.set("sorafeed:timeline:GONE01", "{}", ex=100)
    wall.connections.settler.rewrite_snapshots()
    assert not redis.exists("sorafeed:timeline:GONE01")


def test_displays_that_came_in_another_order_than_their_codes_are_one_run(
    engine: Engine, wall: Dagster
) -> None:
    wall.tick_all()
    add_display(engine, "AAAAA0")
    add_playlist(engine, "AAAAA0", [("cat video", 2)])
    _edit(engine, "BBBBB2", 2)
    (settled,) = wall.tick("unsettled")
    assert settled.success
    assert len(videos_of(engine, "AAAAA0")) == 5
    assert wall.recorded("display_timelines")[-2:] == ["AAAAA0", "BBBBB2"]


def test_an_unknown_display_fails_the_run(wall: Dagster) -> None:
    wall.tick_all()
    config = {"ops": {asset: {"config": {"displays": ["NOSUCH"]}} for asset in ASSETS}}
    tags = range_tags("AAAAA1", "BBBBB2")
    failed = wall.run("rebuild_displays", tags=tags, config=config)
    assert not failed.success
    (failure,) = [e.step_failure_data for e in failed.filter_events(lambda e: e.is_step_failure)]
    assert failure.user_failure_data is not None
    assert "NOSUCH: not among the partitions of the run" in str(
        failure.user_failure_data.description
    )


def test_a_bad_playlist_holds_up_nobody(
    engine: Engine, wall: Dagster, monkeypatch: pytest.MonkeyPatch
) -> None:
    wall.tick_all()
    run(engine, "DELETE FROM playlist_blocks b USING playlists p"
                " WHERE p.id = b.playlist_id AND p.display_id = 'AAAAA1'")  # fmt: skip
    before = videos_of(engine, "AAAAA1")
    for pause in (0, 31, 70, 130):
        _later(monkeypatch, timedelta(seconds=pause))
        (failed,) = wall.tick("unsettled")
        assert not failed.success
        assert wall.tick("unsettled") == []
    _edit(engine, "BBBBB2", 2)
    _later(monkeypatch, timedelta(seconds=131))  # the bad one alone would wait for four minutes
    (rebuilt,) = wall.tick("unsettled")
    assert rebuilt.success
    assert sorted(stale_displays(engine)) == ["AAAAA1"]
    assert videos_of(engine, "AAAAA1") == before


def test_a_failed_run_is_told_in_a_sentence(
    engine: Engine, wall: Dagster, capfd: pytest.CaptureFixture[str]
) -> None:
    wall.tick_all()
    run(engine, "DELETE FROM playlist_blocks b USING playlists p"
                " WHERE p.id = b.playlist_id AND p.display_id = 'AAAAA1'")  # fmt: skip
    (failed,) = wall.tick("unsettled")
    (event,) = failed.filter_events(lambda e: e.event_type is dg.DagsterEventType.PIPELINE_FAILURE)
    context = dg.build_run_status_sensor_context(
        sensor_name="failed_runs",
        dagster_instance=wall.instance,
        dagster_run=failed.dagster_run,
        dagster_event=event,
    ).for_run_failure()
    capfd.readouterr()
    wall.definitions.resolve_sensor_def("failed_runs")(context)
    said = capfd.readouterr().err
    assert f"run {failed.run_id[:8]} of rebuild_displays failed: display_timelines: " in said
    assert "1 display keeps its last good queue" in said
    assert "AAAAA1: blocks: is empty; a playlist needs at least one block" in said


def test_ten_edits_in_a_second_lead_to_the_timeline_of_the_last(
    engine: Engine, wall: Dagster
) -> None:
    ((playlist,),) = run(engine, "SELECT id FROM playlists WHERE display_id = 'AAAAA1'")
    done = Event()

    def edit() -> None:
        try:
            for count in range(1, 11):
                drafts = [BlockDraft("dog video", count, FetchMode.NEWEST), BlockDraft("video", 2)]
                replace_blocks(engine, playlist, drafts)
                done.wait(0.05)
        finally:
            done.set()

    editor = Thread(target=edit)
    editor.start()
    while not done.is_set():
        for rebuilt in wall.tick("unsettled"):
            assert rebuilt.success
    editor.join()
    wall.tick("unsettled")
    assert wall.tick("unsettled") == []
    assert stale_displays(engine) == {}
    newest = [f"p_dog_video_0_{n:04}" for n in range(7, -1, -1)]
    ((plan,),) = run(engine, "SELECT b.plan FROM timeline_builds b JOIN displays d"
                             " ON d.active_build_id = b.id WHERE d.id = 'AAAAA1'")  # fmt: skip
    last = plan["loops"][0]["picks"]
    assert sum(pick["block_position"] == 0 for pick in last) in (2, 3)  # a kept head may add one
    assert set(newest) <= {pick["video_id"] for pick in last}
    for check in ("queue_within_window", "plan_follows_playlist", "replanning_is_deterministic"):
        assert wall.culprits(f"display_timelines:{check}") == ""
    assert wall.culprits("timeline_cache:timeline_cache_equals_queue") == ""
