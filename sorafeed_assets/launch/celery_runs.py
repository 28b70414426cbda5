"""Dagster's runs as Celery tasks, on any number of machines: the launcher.

deploy/dagster-celery.yaml names it; `celery_app` is the workers' side. The module is imported only
where the extra [celery] is installed.
"""

from typing import Final

import dagster as dg
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG

from sorafeed_assets.defs.dagster_internals import CheckRunHealthResult, WorkerStatus

_ANSWER_SECONDS: Final = 5.0
_TRIES: Final = 3


class WatchedCeleryRunLauncher(CeleryRunLauncher):
    """Dagster's Celery launcher, which also notices that the worker of a run is gone.

    Celery itself would say forever that such a task has started. The daemon's run monitoring then
    fails the run, and it is retried on another worker.
    """

    @property
    def supports_resume_run(self) -> bool:
        """No: a run whose worker is gone is retried as a whole, since its steps are idempotent."""
        return False

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Ask the worker that started the run whether it still works on it."""
        task_id = run.tags[DAGSTER_CELERY_TASK_ID_TAG]
        worker = ""
        for _ in range(_TRIES):
            found = super().check_run_worker_health(run)
            if found.status is not WorkerStatus.RUNNING:
                return found
            started = self.celery.AsyncResult(task_id).info
            worker = started.get("hostname", "") if isinstance(started, dict) else ""
            inspected = self.celery.control.inspect([worker], timeout=_ANSWER_SECONDS).active()
            if any(task["id"] == task_id for task in (inspected or {}).get(worker, ())):
                return found
        return CheckRunHealthResult(
            WorkerStatus.FAILED, f"the worker {worker} has ended, or no longer works on this run"
        )
