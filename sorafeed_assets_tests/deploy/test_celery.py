"""Instances that run on other machines: their configuration, and a Celery worker that is lost."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._config import process_config, resolve_to_config_type
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG
from dagster_k8s import K8sRunLauncher

from sorafeed_assets.defs.dagster_internals import WorkerStatus
from sorafeed_assets.launch.celery_runs import WatchedCeleryRunLauncher
from sorafeed_assets_tests.cli.running import wait_until
from sorafeed_assets_tests.deploy.files import ROOT, read_yaml

_WORKER = """
import sys, time
from celery import Celery
app = Celery(broker=sys.argv[1], backend=sys.argv[1])

@app.task(name="sleeps", track_started=True)
def sleeps():
    time.sleep(3600)

app.worker_main(["worker", "-Q", "dagster", "--concurrency", "1", "-n", sys.argv[2]])
"""


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


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_run_whose_worker_is_gone_has_failed(redis_url: str, tmp_path: Path) -> None:
    launcher = WatchedCeleryRunLauncher("dagster", broker=redis_url, backend=redis_url)
    task = launcher.celery.send_task("sleeps", queue="dagster")
    run = dg.DagsterRun(job_name="refresh_counts", tags={DAGSTER_CELERY_TASK_ID_TAG: task.id})
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-c", _WORKER, redis_url, "one@here"],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_until(lambda: task.state == "STARTED" or worker.poll() is not None, "the task")
        assert launcher.check_run_worker_health(run).status is WorkerStatus.RUNNING
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
    # Celery itself still says that it has started.
    assert task.state == "STARTED"
    found = launcher.check_run_worker_health(run)
    assert found.status is WorkerStatus.FAILED
    assert "one@here has ended" in str(found.msg)
