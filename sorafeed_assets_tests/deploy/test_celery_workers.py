"""A recount of all days, split into runs over two Celery workers; one is killed in the middle."""

import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import dagster as dg
import psutil
import pytest
from celery import Celery
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.definitions.selector import (
    PartitionRangeSelector,
    PartitionsByAssetSelector,
    PartitionsSelector,
)
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.execution.backfill import PartitionBackfill
from dagster._core.workspace.context import WorkspaceProcessContext, WorkspaceRequestContext
from dagster._core.workspace.load_target import GrpcServerTarget
from dagster._grpc.client import DagsterGrpcClient
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG
from sqlalchemy import Engine, text

from sorafeed_assets.defs.dagster_internals import partition_span
from sorafeed_assets.launch.dagster_instance import open_instance
from sorafeed_assets.launch.embedded import EmbeddedPostgres, free_port
from sorafeed_assets.launch.materialize import materialize_all
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.cli.running import wait_until
from sorafeed_assets_tests.dagster_instance import dagster_database
from sorafeed_assets_tests.deploy.files import DEPLOY
from sorafeed_assets_tests.deploy.machines import Machines, end_at_once
from sorafeed_assets_tests.launch.reacting import assert_recorded_once
from sorafeed_assets_tests.wall import add_display, add_playlist, add_posts

_DAYS: Final = ["2026-03-01", "2026-03-02", "2026-03-03", "2026-03-04"]
_PER_RUN: Final = 2
_COUNTS: Final = dg.AssetKey("video_counts_daily")
_BACKFILL: Final = "recount"
_ENDED: Final = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
_WORKER: Final = (
    "celery", "--app", "sorafeed_assets.launch.celery_app", "worker", "--queues", "dagster",
    "--concurrency", "1", "--hostname",
)  # fmt: skip
_CODE_SERVER: Final = ("dagster", "api", "grpc", "--module-name", "sorafeed_assets.definitions")
_WORKSPACE: Final = """
load_from:
  - grpc_server: {{host: 127.0.0.1, port: {port}, location_name: sorafeed_assets}}
"""
_WAITS_TO_WRITE: Final = """
SELECT client_port FROM pg_locks JOIN pg_stat_activity USING (pid)
WHERE relation = 'video_counts_daily'::regclass AND NOT granted
"""
_SPOIL: Final = "UPDATE video_counts_daily SET count = count + 1"
_COUNTED: Final = """
SELECT catalog_day::text, term, format, count FROM video_counts_daily ORDER BY 1, 2, 3
"""
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture
def addressed(
    settings: Settings, postgres: EmbeddedPostgres, redis_url: str, tmp_path: Path
) -> Iterator[Settings]:
    """Settings with the addresses of all servers, and an instance that looks at runs often."""
    instance = tmp_path / "dagster-celery.yaml"
    given = (DEPLOY / instance.name).read_text()
    assert "poll_interval_seconds: 30" in given
    instance.write_text(given.replace("poll_interval_seconds: 30", "poll_interval_seconds: 2"))
    with dagster_database(settings, postgres) as found:
        yield Settings.model_validate(
            {
                **found.model_dump(),
                "dagster_yaml": instance,
                "celery_url": f"{redis_url.rpartition('/')[0]}/7",
                "days_per_run": _PER_RUN,
            }
        )


def test_every_day_is_counted_and_recorded_once_although_a_worker_is_lost(
    engine: Engine, addressed: Settings, tmp_path: Path
) -> None:
    for number in range(len(_DAYS)):
        add_posts(engine, "cat video", 3 + number, day=number)
    add_display(engine, "AAAAA1")
    add_playlist(engine, "AAAAA1", [("cat video", 4)])
    machines = Machines(addressed, tmp_path)
    celery = Celery(broker=str(addressed.celery_url), backend=str(addressed.celery_url))
    port = free_port()
    (tmp_path / "workspace.yaml").write_text(_WORKSPACE.format(port=port))
    with open_instance(addressed) as instance, ExitStack() as stack:
        workers = {
            f"{name}@here": stack.enter_context(machines.running(name, *_WORKER, f"{name}@here"))
            for name in ("one", "two")
        }
        stack.enter_context(machines.running("code", *_CODE_SERVER, "--port", str(port)))
        assert materialize_all(addressed, instance).is_clean
        right = run(engine, _COUNTED)
        assert sorted({day for day, *_ in right}) == _DAYS
        # As docs/deployment.md says where the server is up to it.
        instance.event_log_storage.set_concurrency_slots("postgres_heavy", 2)
        wait_until(lambda: len(celery.control.ping(timeout=2)) == 2, "the workers")
        with _workspace(instance, port) as workspace:
            _stop_automation(instance, workspace)
            run(engine, _SPOIL)
            _recount(instance, workspace)
        with engine.connect() as holder:
            # The run that counts first stops in the middle here; the other one waits for it.
            holder.execute(text("LOCK TABLE video_counts_daily IN SHARE MODE"))
            daemon = ("dagster-daemon", "run", "--workspace", str(tmp_path / "workspace.yaml"))
            stack.enter_context(machines.running("daemon", *daemon))
            wait_until(lambda: run(engine, _WAITS_TO_WRITE), "a run that writes")
            wait_until(lambda: len(busy := _busy(celery)) == len(set(busy.values())) == 2, "both")
            port_of_writer = run(engine, _WAITS_TO_WRITE)[0][0]
            (killed,) = [name for name in workers if _has_port(workers[name], port_of_writer)]
            (task,) = [task for task, worker in _busy(celery).items() if worker == killed]
            end_at_once(workers[killed])
            wait_until(lambda: _runs(instance, dg.DagsterRunStatus.FAILURE), "the lost run's end")
            holder.rollback()
        wait_until(lambda: _succeeded_days(instance) == _DAYS, "all days")

        (failed,) = _runs(instance, dg.DagsterRunStatus.FAILURE)
        assert failed.tags[DAGSTER_CELERY_TASK_ID_TAG] == task
        succeeded = _runs(instance, dg.DagsterRunStatus.SUCCESS)
        assert len(succeeded) == len(_DAYS) // _PER_RUN
        assert failed.run_id in {each.parent_run_id for each in succeeded}
        assert run(engine, _COUNTED) == right
        ended = {each.run_id for each in _runs(instance, *_ENDED)}
        for day in _DAYS:
            wanted = dg.AssetRecordsFilter(_COUNTS, asset_partitions=[day])
            records = instance.fetch_materializations(wanted, limit=100).records
            events = [each.asset_materialization for each in records if each.run_id in ended]
            versions = [(event.tags or {})[DATA_VERSION_TAG] for event in events if event]
            # A run may also record what another one found there before this day was repaired.
            assert versions.count(versions[0]) == 1
        assert_recorded_once(addressed, instance)


@contextmanager
def _workspace(instance: dg.DagsterInstance, port: int) -> Iterator[WorkspaceRequestContext]:
    """What the code server has, as the web server sees it."""
    client = DagsterGrpcClient(port=port, host="127.0.0.1")

    def is_served() -> bool:
        try:
            client.ping("")
        except DagsterUserCodeUnreachableError:
            return False
        return True

    wait_until(is_served, "the code server")
    target = GrpcServerTarget("127.0.0.1", port, None, "sorafeed_assets")
    with WorkspaceProcessContext(instance, target) as process:
        yield process.create_request_context()


def _stop_automation(instance: dg.DagsterInstance, workspace: WorkspaceRequestContext) -> None:
    """Stop sensors and schedules, whose runs would mend the counts too."""
    (repository,) = workspace.get_code_location("sorafeed_assets").get_repositories().values()
    for sensor in repository.get_sensors():
        instance.stop_sensor(sensor.get_remote_origin_id(), sensor.selector_id, sensor)
    for schedule in repository.get_schedules():
        instance.stop_schedule(schedule.get_remote_origin_id(), schedule.selector_id, schedule)


def _recount(instance: dg.DagsterInstance, workspace: WorkspaceRequestContext) -> None:
    """Ask for a backfill of all days, as the UI does."""
    days = PartitionsSelector(ranges=[PartitionRangeSelector(start=_DAYS[0], end=_DAYS[-1])])
    asked = PartitionsByAssetSelector(asset_key=_COUNTS, partitions=days)
    instance.add_backfill(
        PartitionBackfill.from_partitions_by_assets(
            _BACKFILL,
            asset_graph=workspace.asset_graph,
            backfill_timestamp=time.time(),
            tags={},
            dynamic_partitions_store=instance,
            partitions_by_assets=[asked],
            title=None,
            description=None,
            run_config={"ops": {"video_counts_daily": {"config": {"recount": True}}}},
        )
    )


def _busy(celery: Celery) -> dict[str, str]:
    """Task → the worker that works on it."""
    active: dict[str, list[Any]] = celery.control.inspect(timeout=5).active() or {}
    return {task["id"]: worker for worker, tasks in active.items() for task in tasks}


def _runs(instance: dg.DagsterInstance, *statuses: dg.DagsterRunStatus) -> list[dg.DagsterRun]:
    """The runs of the backfill in these states."""
    wanted = dg.RunsFilter(statuses=list(statuses), tags={"dagster/backfill": _BACKFILL})
    return list(instance.get_runs(wanted))


def _succeeded_days(instance: dg.DagsterInstance) -> list[str]:
    """The days of the runs that succeeded."""
    spans = [partition_span(each.tags) for each in _runs(instance, dg.DagsterRunStatus.SUCCESS)]
    return sorted(day for span in spans if span for day in _DAYS if span[0] <= day <= span[1])


def _has_port(worker: "subprocess.Popen[bytes]", port: int) -> bool:
    """Whether a program, or one that it started, has a connection from this port."""
    program = psutil.Process(worker.pid)
    return any(
        connection.laddr[1:] == (port,)
        for process in (program, *program.children(recursive=True))
        for connection in process.net_connections()
    )
