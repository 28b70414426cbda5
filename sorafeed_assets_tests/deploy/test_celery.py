"""Runs on two Celery workers that share nothing but addresses; one is killed in the middle."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import dagster as dg
import pytest
import yaml
from celery import Celery
from dagster._config import process_config, resolve_to_config_type
from dagster_k8s import K8sRunLauncher
from sqlalchemy import Engine, text

from sorafeed_assets.launch.dagster_home import environment
from sorafeed_assets.launch.dagster_instance import open_instance
from sorafeed_assets.launch.embedded import EmbeddedPostgres
from sorafeed_assets.launch.materialize import materialize_all
from sorafeed_assets.launch.servers import psycopg2_url
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.cli.running import environment as command_environment
from sorafeed_assets_tests.cli.running import wait_until
from sorafeed_assets_tests.dagster_instance import dagster_database
from sorafeed_assets_tests.deploy.files import DEPLOY, ROOT, read_yaml
from sorafeed_assets_tests.launch.reacting import assert_recorded_once
from sorafeed_assets_tests.wall import add_display, add_playlist, add_posts

_COMMAND: Final = (sys.executable, "-c", "from sorafeed_assets.cli import main; main()", "exec")
_RANGES: Final = (("2026-03-01", "2026-03-02"), ("2026-03-03", "2026-03-04"))
_DAYS: Final = [day for days in _RANGES for day in days]
_ENDED: Final = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE}
_WAITS_FOR_A_LOCK: Final = """
SELECT FROM pg_locks WHERE relation = 'video_counts_daily'::regclass AND NOT granted
"""
_COUNTED: Final = """
SELECT catalog_day::text, sum(count)::int FROM video_counts_daily GROUP BY 1 ORDER BY 1
"""
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.mark.parametrize("name", ["dagster-celery.yaml", "dagster-k8s.yaml"])
def test_they_say_what_the_projects_own_instance_says(name: str) -> None:
    given = read_yaml(name)
    del given["run_launcher"]
    storages = ROOT / "sorafeed_assets" / "launch" / "storage.yaml"
    ours = [yaml.safe_load(path.read_text()) for path in (storages, ROOT / "dagster.yaml")]
    assert given == {**ours[0], **ours[1]}


def test_the_launcher_for_kubernetes_accepts_its_config() -> None:
    given = read_yaml("dagster-k8s.yaml")["run_launcher"]["config"]
    checked = process_config(resolve_to_config_type(_k8s_config_type()), given)
    assert checked.success, checked.errors


def _k8s_config_type() -> Any:
    return K8sRunLauncher.config_type()  # type: ignore[no-untyped-call]  # left so


class Machines:
    """Starts programs, each with a folder of its own and nothing of the others but addresses."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._logs: list[Path] = []

    def _environment(self, name: str) -> dict[str, str]:
        own = self._settings.model_copy(update={"data_dir": self._folder / name})
        return command_environment(**environment(own), PYTHONPATH=str(ROOT))

    def run(self, *command: str) -> None:
        """Run a program to its end."""
        done = subprocess.run(
            [*_COMMAND, *command],
            env=self._environment("launcher"),
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    @contextmanager
    def running(self, name: str, *command: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Run a program as long as the block lasts."""
        self._logs.append(self._folder / f"{name}.log")
        with self._logs[-1].open("wb") as log:
            process = subprocess.Popen(
                [*_COMMAND, *command],
                env=self._environment(name),
                cwd=self._folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def said(self) -> str:
        """The logs of all."""
        return "\n".join(log.read_text() for log in self._logs)


@pytest.fixture
def addressed(
    settings: Settings, postgres: EmbeddedPostgres, redis_url: str, tmp_path: Path
) -> Iterator[Settings]:
    # The daemon looks at runs more often than in production.
    instance = tmp_path / "dagster-celery.yaml"
    given = (DEPLOY / instance.name).read_text()
    assert "poll_interval_seconds: 30" in given
    instance.write_text(given.replace("poll_interval_seconds: 30", "poll_interval_seconds: 2"))
    with dagster_database(settings, postgres) as found:
        yield Settings.model_validate(
            {
                **found.model_dump(),
                "dagster_url": psycopg2_url(str(found.dagster_url)),
                "dagster_yaml": instance,
                "celery_url": f"{redis_url.rpartition('/')[0]}/7",
            }
        )


def test_a_recount_survives_the_end_of_a_worker(
    engine: Engine, addressed: Settings, tmp_path: Path
) -> None:
    for number in range(len(_DAYS)):
        add_posts(engine, "cat video", 3 + number, day=number)
    add_display(engine, "AAAAA1")
    add_playlist(engine, "AAAAA1", [("cat video", 4)])
    machines = Machines(addressed, tmp_path)
    app = Celery(broker=str(addressed.celery_url), backend=str(addressed.celery_url))
    with open_instance(addressed) as instance, ExitStack() as stack:
        assert materialize_all(addressed, instance).is_clean
        right = run(engine, _COUNTED)
        assert [day for day, _count in right] == _DAYS
        run(engine, "UPDATE video_counts_daily SET count = count + 1")

        worker = ("celery", "--app", "sorafeed_assets.launch.celery_app", "worker")
        workers = {
            f"{name}@here": stack.enter_context(
                machines.running(
                    name, *worker, "-Q", "dagster", "--concurrency", "1", "-n", f"{name}@here"
                )
            )
            for name in ("one", "two")
        }
        wait_until(lambda: len(app.control.ping(timeout=2)) == 2, "the workers")
        stack.enter_context(
            machines.running("daemon", "dagster-daemon", "run", "-m", "sorafeed_assets.definitions")
        )
        with engine.connect() as holder:
            # A run stops in the middle here, after it has begun to write.
            holder.execute(text("LOCK TABLE video_counts_daily IN SHARE MODE"))
            for first, last in _RANGES:
                _launch(machines, first, last)
            wait_until(lambda: run(engine, _WAITS_FOR_A_LOCK), "a run that waits")
            ((killed, _tasks),) = [each for each in _active(app).items() if each[1]]
            os.killpg(workers[killed].pid, signal.SIGKILL)
            wait_until(lambda: _runs(instance, dg.DagsterRunStatus.FAILURE), "the run's end")
            holder.rollback()
        wait_until(lambda: _is_done(instance), "both ranges")
        (failed,) = _runs(instance, dg.DagsterRunStatus.FAILURE)
        succeeded = _runs(instance, dg.DagsterRunStatus.SUCCESS)
        assert failed.run_id in {each.parent_run_id for each in succeeded}
        assert set(_active(app)) == set(workers) - {killed}
        # Every day is counted again, and recorded once.
        assert run(engine, _COUNTED) == right
        runs = {each.run_id for each in _runs(instance, *_ENDED)}
        for day in _DAYS:
            fetched = instance.fetch_materializations(
                dg.AssetRecordsFilter(dg.AssetKey("video_counts_daily"), asset_partitions=[day]),
                limit=100,
            )
            assert len([each for each in fetched.records if each.run_id in runs]) == 1
        assert_recorded_once(addressed, instance)


def _launch(machines: Machines, first: str, last: str) -> None:
    config = {"ops": {"video_counts_daily": {"config": {"recount": True}}}}
    tags = {
        "dagster/asset_partition_range_start": first,
        "dagster/asset_partition_range_end": last,
        "test/recount": first,
    }
    machines.run(
        "dagster", "job", "launch", "-m", "sorafeed_assets.definitions", "-j", "refresh_counts",
        "--config-json", json.dumps(config), "--tags", json.dumps(tags),
    )  # fmt: skip


def _active(app: Celery) -> dict[str, list[Any]]:
    """Worker → the tasks that it works on."""
    found: dict[str, list[Any]] = app.control.inspect(timeout=5).active() or {}
    return found


def _runs(instance: dg.DagsterInstance, *statuses: dg.DagsterRunStatus) -> list[dg.DagsterRun]:
    """The recounts in these states."""
    runs = instance.get_runs(dg.RunsFilter(statuses=list(statuses)))
    return [each for each in runs if "test/recount" in each.tags]


def _is_done(instance: dg.DagsterInstance) -> bool:
    """Whether each range was recounted."""
    succeeded = _runs(instance, dg.DagsterRunStatus.SUCCESS)
    return {each.tags["test/recount"] for each in succeeded} == {first for first, _ in _RANGES}
