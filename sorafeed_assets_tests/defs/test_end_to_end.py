"""End to end: rows by SQL, sensors on a real instance, and the runs they request."""

import json

import dagster as dg
from redis import Redis
from sqlalchemy import Engine, text

from sorafeed_assets.defs.common import day_range_tags
from sorafeed_assets.defs.recording import follow_displays
from sorafeed_assets_tests.defs.conftest import Dagster
from sorafeed_assets_tests.wall import START, add_display, add_playlist, add_posts

DAY = START.date()


def _queue(engine: Engine, display: str) -> list[str]:
    with engine.connect() as connection:
        return list(
            connection.scalars(
                text(
                    "SELECT video_id FROM timeline_videos WHERE display_id = :display"
                    " ORDER BY loop_iteration, timeline_position"
                ),
                {"display": display},
            )
        )


def _cached(redis: Redis, display: str) -> list[str]:
    value = redis.get(f"sorafeed:timeline:{display}")
    assert isinstance(value, str), f"no snapshot of {display}"
    return [video["video_id"] for video in json.loads(value)["videos"]]


def _failures(run: dg.ExecuteInProcessResult) -> list[str]:
    """The messages of the failed steps of a run."""
    failures = [event.step_failure_data for event in run.filter_events(lambda e: e.is_step_failure)]
    return [str(f.user_failure_data.description) for f in failures if f.user_failure_data]


def _settle(dagster: Dagster) -> None:
    """Tick every sensor until none requests anything."""
    for _ in range(6):
        before = len(dagster.runs)
        dagster.tick_all()
        if len(dagster.runs) == before:
            return
    raise AssertionError("the sensors never stop requesting runs")


def _rows(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    """Every row with its physical place and transaction: any write changes it."""
    tables = (
        "search_terms", "video_counts_daily", "video_counts_by_search", "video_candidates",
        "catalog_days", "playlists", "timeline_builds", "timeline_videos", "displays",
    )  # fmt: skip
    with engine.connect() as connection:
        return {
            table: [
                tuple(row)
                for row in connection.execute(
                    text(f"SELECT ctid::text, xmin::text FROM {table} ORDER BY ctid")
                )
            ]
            for table in tables
        }


def test_from_sql_to_a_cached_timeline_and_on(engine: Engine, dagster: Dagster) -> None:
    redis = dagster.connections.redis
    cats = add_posts(engine, "cat video", 30)
    add_posts(engine, "dog video", 30)
    for display in ("AAAAA1", "BBBBB2", "CCCCC3"):
        add_display(engine, display)
    add_playlist(engine, "AAAAA1", [("cat video", 3), ("dog video", 4)])
    add_playlist(engine, "BBBBB2", [("dog video", 6)])
    _settle(dagster)

    # Partitions, queues, snapshots and counts exist.
    assert set(dagster.instance.get_dynamic_partitions("displays")) == {
        "AAAAA1", "BBBBB2", "CCCCC3",
    }  # fmt: skip
    assert _queue(engine, "AAAAA1")[:3] == list(reversed(cats))[:3]
    assert len(_queue(engine, "AAAAA1")) == 5
    assert _queue(engine, "CCCCC3") == []
    for display in ("AAAAA1", "BBBBB2"):
        assert _cached(redis, display) == _queue(engine, display)
        assert 0 < redis.ttl(f"sorafeed:timeline:{display}") <= 86_400
    assert redis.get("sorafeed:count:cat video:mixed") == "30"

    # The lineage says what each was made from.
    records = dagster.instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey("display_timelines"), asset_partitions=["AAAAA1"]),
        limit=1,
    ).records
    made = records[0].asset_materialization
    assert made is not None
    assert made.tags is not None
    assert (
        made.tags["dagster/input_data_version/active_playlists"]
        == dagster.versions("active_playlists")["AAAAA1"]
    )
    assert made.metadata["planned"].value == 7
    # It says why each video is in the queue.
    lines = str(made.metadata["preview"].value).splitlines()
    assert lines[0].startswith("| loop | position | status | reason |")
    assert [line.split(" | ")[3] for line in lines[2:]] == ["new"] * 5
    assert dagster.lineage().differ == 0
    # Candidates were stored after the plans; the display without a playlist uses none.
    assert set(dagster.stale()) <= {"display_timelines CCCCC3"}

    # Every asset shows a preview, and figures that the UI can plot.
    graph = dagster.definitions.resolve_asset_graph()
    # There is no rollout.
    for key in sorted(graph.materializable_asset_keys - {dg.AssetKey("rollouts")}):
        event = dagster.instance.get_latest_materialization_event(key)
        assert event is not None, key
        assert event.asset_materialization is not None
        metadata = event.asset_materialization.metadata
        assert "preview" in metadata, key
        figures = (dg.IntMetadataValue, dg.FloatMetadataValue)
        assert any(isinstance(value, figures) for value in metadata.values()), key

    # A changed block rebuilds its display and no other.
    before = {name: len(dagster.recorded(name)) for name in ("display_timelines", "timeline_cache")}
    other = _queue(engine, "BBBBB2")
    with engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE playlist_blocks b SET video_count = 2 FROM playlists p"
                " WHERE p.id = b.playlist_id AND p.display_id = 'AAAAA1' AND b.block_order = 0"
            )
        )
    _settle(dagster)
    assert dagster.recorded("display_timelines")[before["display_timelines"] :] == ["AAAAA1"]
    assert dagster.recorded("timeline_cache")[before["timeline_cache"] :] == ["AAAAA1"]
    assert _cached(redis, "AAAAA1") == _queue(engine, "AAAAA1")
    assert _queue(engine, "BBBBB2") == other

    # A rename rebuilds nothing.
    runs = len(dagster.runs)
    with engine.begin() as connection:
        connection.execute(text("UPDATE playlists SET name = 'renamed'"))
    _settle(dagster)
    assert len(dagster.runs) == runs

    # A deleted post leaves counts, pools and the queues it was in.
    gone = _queue(engine, "AAAAA1")[0]
    assert gone not in other
    recorded = len(dagster.recorded("display_timelines"))
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM sora_posts WHERE id = :id"), {"id": gone})
    _settle(dagster)
    assert redis.get("sorafeed:count:cat video:mixed") == "29"
    assert gone not in _queue(engine, "AAAAA1")
    assert _cached(redis, "AAAAA1") == _queue(engine, "AAAAA1")
    assert dagster.recorded("display_timelines")[recorded:] == ["AAAAA1"]
    assert _queue(engine, "BBBBB2") == other

    # A plan that it did not change names earlier candidates, until it is made again by hand.
    assert "display_timelines BBBBB2" in dagster.stale()
    assert dagster.rebuild("BBBBB2", by_hand=True).success
    assert dagster.recorded("display_timelines")[recorded:] == ["AAAAA1", "BBBBB2"]
    assert "display_timelines BBBBB2" not in dagster.stale()
    assert _queue(engine, "BBBBB2") == other

    # Deleting a display removes its partition and its snapshot.
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM displays WHERE id = 'BBBBB2'"))
    _settle(dagster)
    assert "BBBBB2" not in dagster.instance.get_dynamic_partitions("displays")
    assert redis.get("sorafeed:timeline:BBBBB2") is None
    assert _queue(engine, "AAAAA1")


def test_nothing_changed_means_nothing_written(engine: Engine, dagster: Dagster) -> None:
    add_posts(engine, "cat video", 12)
    add_display(engine, "AAAAA1")
    add_playlist(engine, "AAAAA1", [("cat video", 3)], mode="random")
    _settle(dagster)
    days = day_range_tags(DAY, DAY)
    assert dagster.run("refresh_counts", tags=days).success
    assert dagster.rebuild().success
    assets = (
        "search_terms", "video_counts_daily", "video_counts_by_search", "video_candidates",
        "count_cache", "active_playlists", "display_timelines", "timeline_cache", "admin_snapshot",
    )  # fmt: skip
    rows, versions = _rows(engine), {asset: dagster.versions(asset) for asset in assets}
    assert all(versions.values())

    assert dagster.run("refresh_counts", tags=days).success
    assert dagster.rebuild("AAAAA1").success
    assert dagster.rebuild("AAAAA1", by_hand=True).success
    assert _rows(engine) == rows
    assert {asset: dagster.versions(asset) for asset in assets} == versions


def test_posts_of_days_outside_the_partitions_are_counted(engine: Engine, dagster: Dagster) -> None:
    add_display(engine, "AAAAA1")
    add_playlist(engine, "AAAAA1", [("cat video", 3)])
    add_posts(engine, "cat video", 2, day=5_000)
    add_posts(engine, "cat video", 3, day=-5_000)
    _settle(dagster)
    assert dagster.connections.redis.get("sorafeed:count:cat video:mixed") == "5"
    add_posts(engine, "cat video", 1, prefix="late", day=5_000)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM sora_posts WHERE id LIKE 'p%' AND posted_at < :at"),
                           {"at": START})  # fmt: skip
    _settle(dagster)
    assert dagster.connections.redis.get("sorafeed:count:cat video:mixed") == "3"


def test_one_bad_playlist_does_not_stop_the_others(engine: Engine, dagster: Dagster) -> None:
    add_posts(engine, "cat video", 12)
    for display in ("AAAAA1", "BBBBB2"):
        add_display(engine, display)
        add_playlist(engine, display, [("cat video", 3)])
    with engine.begin() as connection:  # a playlist without blocks, as only SQL can write it
        connection.execute(
            text(
                "DELETE FROM playlist_blocks b USING playlists p"
                " WHERE p.id = b.playlist_id AND p.display_id = 'AAAAA1'"
            )
        )
    (run,) = dagster.tick("unsettled")
    assert run.success
    assert len(_queue(engine, "BBBBB2")) == 5
    assert _queue(engine, "AAAAA1") == []
    evaluations = {event.check_name: event for event in run.get_asset_check_evaluations()}
    current = evaluations["every_timeline_is_current"]
    assert not current.passed
    assert current.description is not None
    assert "AAAAA1" in current.description
    assert "BBBBB2" not in current.description
    # Alone it fails with a message that names it; then the sensor backs off.
    (alone,) = dagster.tick("unsettled")
    (failure,) = _failures(alone)
    assert "AAAAA1: blocks: is empty" in failure
    assert dagster.tick("unsettled") == []


def test_assets_of_the_ui_do_what_the_job_does(engine: Engine, dagster: Dagster) -> None:
    add_posts(engine, "cat video", 12)
    for display in ("AAAAA1", "BBBBB2"):
        add_display(engine, display)
        add_playlist(engine, display, [("cat video", 3)])
    follow_displays(dagster.connections, dagster.instance)
    job = dagster.definitions.resolve_implicit_global_asset_job_def()
    names = ["active_playlists", "display_timelines", "timeline_cache"]
    result = job.execute_in_process(
        instance=dagster.instance,
        asset_selection=[dg.AssetKey(name) for name in names],
        tags={
            "dagster/asset_partition_range_start": "AAAAA1",
            "dagster/asset_partition_range_end": "BBBBB2",
        },
        raise_on_error=False,
    )
    assert result.success
    for display in ("AAAAA1", "BBBBB2"):
        assert _cached(dagster.connections.redis, display) == _queue(engine, display)
    by_asset = dagster.versions("display_timelines")
    recorded = len(dagster.recorded("display_timelines"))
    assert recorded == 2
    # Automatic runs record only changes; a run by hand has an event for each partition.
    assert dagster.rebuild("AAAAA1", "BBBBB2").success
    assert len(dagster.recorded("display_timelines")) == recorded
    assert dagster.rebuild("AAAAA1", "BBBBB2", by_hand=True).success
    assert len(dagster.recorded("display_timelines")) == recorded + 2
    assert dagster.versions("display_timelines") == by_asset
    assert set(by_asset) == {"AAAAA1", "BBBBB2"}


def test_tables_load_as_frames(engine: Engine, dagster: Dagster) -> None:
    add_posts(engine, "cat video", 12)
    add_display(engine, "AAAAA1")
    add_playlist(engine, "AAAAA1", [("cat video", 3)])
    _settle(dagster)
    load = dagster.definitions.load_asset_value
    totals = load("video_counts_by_search", instance=dagster.instance)
    assert totals.set_index(["search_term", "format"])["total_count"].to_dict() == {  # type: ignore[attr-defined]  # typed as object
        ("cat video", "mixed"): 12,
        ("cat video", "wide"): 12,
        ("cat video", "tall"): 0,
    }
    day = START.date().isoformat()
    daily = load("video_counts_daily", instance=dagster.instance, partition_key=day)
    assert daily["count"].sum() == 24  # type: ignore[index]  # typed as object
    queue = load("display_timelines", instance=dagster.instance, partition_key="AAAAA1")
    assert list(queue["video_id"]) == _queue(engine, "AAAAA1")  # type: ignore[index]  # typed as object
