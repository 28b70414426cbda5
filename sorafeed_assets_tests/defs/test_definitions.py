"""What Dagster loads: names, groups, checks and automation are part of the contract."""

import subprocess
import sys
from datetime import date

import dagster as dg
import pytest

from sorafeed_assets.defs.common import run_over_days, run_over_displays
from sorafeed_assets.defs.io import loadable_assets
from sorafeed_assets.defs.merged import build_definitions
from sorafeed_assets.settings import Settings

DAY = "day"
DISPLAY = "display"
ROLLOUT = "rollout"


@pytest.fixture(scope="module")
def definitions() -> dg.Definitions:
    """Definitions without any server."""
    return build_definitions(Settings())


@pytest.fixture(scope="module")
def nodes(definitions: dg.Definitions) -> dict[str, dg.AssetSpec]:
    """The assets by name."""
    return {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}


GRAPH = {
    "sora_posts": ("catalog", DAY, set()),
    "playlists": ("playlists", DISPLAY, set()),
    "active_playlists": ("playlists", DISPLAY, {"playlists"}),
    "search_terms": ("counts", None, {"playlists"}),
    "video_counts_daily": ("counts", DAY, {"sora_posts", "search_terms"}),
    "video_counts_by_search": ("counts", None, {"video_counts_daily"}),
    "video_candidates": ("counts", None, {"sora_posts", "search_terms", "video_counts_daily"}),
    "count_cache": ("cache", None, {"video_counts_by_search"}),
    "display_timelines": ("timelines", DISPLAY, {"active_playlists", "video_candidates"}),
    "timeline_cache": ("cache", DISPLAY, {"display_timelines"}),
    "admin_snapshot": ("cache", None, {"video_counts_by_search", "display_timelines"}),
    "rollouts": ("rollouts", ROLLOUT, {"display_timelines"}),
}

CHECKS = {
    "active_playlists:one_active_playlist",
    "count_cache:count_cache_equals_view",
    "display_timelines:every_timeline_is_current",
    "display_timelines:no_excluded_post_is_queued",
    "display_timelines:plan_follows_playlist",
    "display_timelines:queue_within_window",
    "display_timelines:replanning_is_deterministic",
    "timeline_cache:timeline_cache_equals_queue",
    "video_candidates:pools_equal_brute_force",
    "video_counts_by_search:counts_are_fresh",
    "video_counts_by_search:counts_equal_recount",
    "video_counts_by_search:wide_and_tall_within_mixed",
    *(f"{asset}:lineage_is_true" for asset in GRAPH),
}
BLOCKING = {
    "video_counts_by_search:counts_equal_recount",
    "video_counts_by_search:wide_and_tall_within_mixed",
}


def _partition(spec: dg.AssetSpec) -> str | None:
    partitions = spec.partitions_def
    if partitions is None:
        return None
    if isinstance(partitions, dg.DailyPartitionsDefinition):
        return DAY
    assert isinstance(partitions, dg.DynamicPartitionsDefinition)
    return {"displays": DISPLAY, "rollouts": ROLLOUT}[str(partitions.name)]


def test_the_graph(nodes: dict[str, dg.AssetSpec]) -> None:
    graph = {
        name: (
            spec.group_name,
            _partition(spec),
            {dep.asset_key.to_user_string() for dep in spec.deps},
        )
        for name, spec in nodes.items()
    }
    assert graph == GRAPH


def test_every_asset_says_what_it_is(nodes: dict[str, dg.AssetSpec]) -> None:
    for name, spec in nodes.items():
        assert spec.description, name
        assert spec.owners, name
        assert spec.kinds, name
        schema = spec.metadata.get("dagster/column_schema")
        assert isinstance(schema, dg.TableSchema), name
        assert schema.columns, name
        assert all(column.description for column in schema.columns), name
        assert spec.metadata.get("dagster/table_name"), name
        if name not in {"sora_posts", "playlists"}:
            assert isinstance(
                spec.metadata.get("dagster/code_references"), dg.CodeReferencesMetadataValue
            ), name


def test_what_time_matters_for_is_watched_for_freshness(nodes: dict[str, dg.AssetSpec]) -> None:
    watched = {name for name, spec in nodes.items() if spec.freshness_policy is not None}
    assert watched == {"video_counts_by_search", "count_cache", "admin_snapshot"}


def test_every_check_says_what_it_is(definitions: dg.Definitions) -> None:
    specs = [spec for checks in definitions.asset_checks or [] for spec in checks.check_specs]
    assert {f"{spec.asset_key.to_user_string()}:{spec.name}" for spec in specs} == CHECKS
    assert all(spec.description for spec in specs)
    blocking = {f"{s.asset_key.to_user_string()}:{s.name}" for s in specs if s.blocking}
    assert blocking == BLOCKING


def test_automation_is_on_by_default(definitions: dg.Definitions) -> None:
    repository = definitions.get_repository_def()
    sensors = {sensor.name: sensor.default_status for sensor in repository.sensor_defs}
    assert sensors == dict.fromkeys(
        ["unsettled", "new_posts", "automation", "failed_runs", "late_rollouts"],
        dg.DefaultSensorStatus.RUNNING,
    )
    schedules = {s.name: (s.cron_schedule, s.default_status) for s in repository.schedule_defs}
    assert schedules == {
        "hourly_counts": ("0 * * * *", dg.DefaultScheduleStatus.RUNNING),
        "hourly_checks": ("30 * * * *", dg.DefaultScheduleStatus.RUNNING),
    }
    jobs = {job.name: job.tags.get("dagster/priority") for job in repository.get_all_jobs()}
    priorities = {"refresh_counts": "5", "rebuild_displays": "10", "check_displays": "5"}
    assert priorities.items() <= jobs.items()


def test_a_rebuild_is_a_run_of_the_assets(definitions: dg.Definitions) -> None:
    for name, assets in (
        ("rebuild_displays", {"active_playlists", "display_timelines", "timeline_cache"}),
        ("refresh_counts", {"search_terms", "video_counts_daily", "count_cache"}),
    ):
        layer = definitions.resolve_job_def(name).asset_layer
        assert assets <= {key.to_user_string() for key in layer.executable_asset_keys}


def test_every_check_runs_with_a_job(definitions: dg.Definitions) -> None:
    steps = {
        step.name
        for name in ("rebuild_displays", "refresh_counts", "evaluate_rollouts")
        for step in definitions.resolve_job_def(name).all_node_defs
    }
    assert {check.replace(":", "_") for check in CHECKS} <= steps


def test_every_check_of_displays_runs_over_the_whole_wall(definitions: dg.Definitions) -> None:
    job = definitions.resolve_job_def("check_displays")
    of_displays = {name for name, (_, partition, _) in GRAPH.items() if partition == DISPLAY}
    wanted = {name.replace(":", "_") for name in CHECKS if name.partition(":")[0] in of_displays}
    assert {step.name for step in job.all_node_defs} == wanted


def test_work_is_retried_and_the_heavy_part_goes_one_at_a_time(
    definitions: dg.Definitions,
) -> None:
    repository = definitions.get_repository_def()
    steps = {
        step.name: step
        for name in ("__ASSET_JOB", "rebuild_displays", "evaluate_rollouts")
        for step in repository.get_job(name).all_node_defs
        if isinstance(step, dg.OpDefinition)
    }
    observed = {"observe_playlists", "observe_sora_posts"}
    checks = {name.replace(":", "_") for name in CHECKS}
    assert set(steps) == (set(GRAPH) - {"sora_posts", "playlists"}) | observed | checks
    for name in set(steps) - observed - checks:
        assert steps[name].retry_policy == dg.RetryPolicy(
            max_retries=3, delay=1, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
        ), name
    heavy = {name for name, step in steps.items() if step.pool == "postgres_heavy"}
    assert heavy == {"video_counts_daily", "video_candidates"}
    assert {name for name, step in steps.items() if step.pool} == heavy


def test_an_old_system_adds_its_assets_and_only_them(nodes: dict[str, dg.AssetSpec]) -> None:
    catalog = {"legacy_catalog_url": "postgresql://reader@127.0.0.1:1/old"}
    both = {**catalog, "legacy_queues": "/nowhere/old.sqlite"}
    counts = {"shadow_counts": {"legacy_posts", "video_counts_by_search"}, "legacy_posts": set()}
    timelines = {"shadow_timelines": {"legacy_posts", "shadow_counts", "display_timelines"}}
    for given, added in ((catalog, counts), (both, {**counts, **timelines})):
        built = build_definitions(Settings.model_validate(given))
        specs = {spec.key.to_user_string(): spec for spec in built.resolve_all_asset_specs()}
        parents = {
            name: {dep.asset_key.to_user_string() for dep in spec.deps}
            for name, spec in specs.items()
        }
        assert parents == {
            **{name: above for name, (_, _, above) in GRAPH.items()},
            "sora_posts": {"legacy_posts"},
            **added,
        }
        for name in added:
            assert specs[name].group_name == name.partition("_")[0]
            schema = specs[name].metadata["dagster/column_schema"]
            assert isinstance(schema, dg.TableSchema)
            assert all(column.description for column in schema.columns), name
        repository = built.get_repository_def()
        schedules = {s.name: s.cron_schedule for s in repository.schedule_defs}
        assert schedules["hourly_shadow"] == "15 * * * *"
        steps = {step.name for step in built.resolve_job_def("compare_with_old").all_node_defs}
        assert {name for name in added if name.startswith("shadow")} <= steps
        assert "shadow_counts_gate_is_open" in steps
    assert not any(name.startswith(("shadow", "legacy")) for name in nodes)


def test_every_asset_loads_as_a_frame(nodes: dict[str, dg.AssetSpec]) -> None:
    both = {
        "legacy_catalog_url": "postgresql://reader@127.0.0.1:1/old",
        "legacy_queues": "/nowhere/old.sqlite",
    }
    specs = build_definitions(Settings.model_validate(both)).resolve_all_asset_specs()
    every = {spec.key.to_user_string() for spec in specs}
    assert every > nodes.keys()
    assert loadable_assets() == every


def test_every_sensor_schedule_and_job_says_what_it_does() -> None:
    every = {
        "legacy_catalog_url": "postgresql://reader@127.0.0.1:1/old",
        "alert_webhook": "http://127.0.0.1:1/",
    }
    repository = build_definitions(Settings.model_validate(every)).get_repository_def()
    jobs = [job for job in repository.get_all_jobs() if not job.name.startswith("__")]
    found = {
        **{each.name: each.description for each in repository.sensor_defs},
        **{each.name: each.description for each in repository.schedule_defs},
        **{each.name: each.description for each in jobs},
    }
    assert {"alert_failed_runs", "hourly_shadow", "rebuild_displays"} <= found.keys()
    assert [name for name, description in found.items() if not description] == []


def test_the_launchpad_shows_the_useful_config(definitions: dg.Definitions) -> None:
    displays: dict[str, dict[str, list[str]]] = {"config": {"displays": []}}
    shown = {
        "rebuild_displays": dict.fromkeys(
            ["active_playlists", "display_timelines", "timeline_cache"], displays
        ),
        "refresh_counts": {"video_counts_daily": {"config": {"days": [], "recount": False}}},
    }
    for name, ops in shown.items():
        job = definitions.resolve_job_def(name)
        assert job.partitioned_config is not None
        config = job.partitioned_config.get_run_config_for_partition_key("any")
        assert config == {"ops": ops}


def test_runs_say_which_displays_and_days_they_are_about() -> None:
    codes = [f"AAAA{number:02}" for number in range(30)]
    few = run_over_displays("rebuild_displays", ["a"], codes[1:4], codes)
    assert few.tags["sorafeed/displays"] == "AAAA01, AAAA02, AAAA03"
    many = run_over_displays("rebuild_displays", ["a"], codes, codes)
    assert many.tags["sorafeed/displays"] == f"{', '.join(codes[:10])} and 20 more"
    days = [date(2026, 11, day) for day in (24, 20, 21, 22, 27)]
    assert run_over_days("refresh_counts", days).tags["sorafeed/days"] == (
        "2026-11-20 to 2026-11-22, 2026-11-24, 2026-11-27"
    )


def test_they_load_without_a_server() -> None:
    code = "import sorafeed_assets.definitions as d; d.defs.get_repository_def()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
