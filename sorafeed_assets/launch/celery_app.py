"""The app of Celery workers, which execute Dagster's runs.

A worker is ``sorafeed exec celery --app sorafeed_assets.launch.celery_app worker -Q dagster``. The
module is imported only there, and needs the extra [celery].
"""

from typing import Final

from celery import Celery
from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_execute_job_task

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.settings import load_settings


def build_app() -> Celery:
    """Make the app, with the task that executes a run.

    Raises:
        SetupError: it has no address.
    """
    url = load_settings().celery_url
    if url is None:
        raise SetupError("SORAFEED_CELERY_URL is not set; start workers by `sorafeed exec celery`")
    made: Celery = make_app(app_args={"broker": str(url), "backend": str(url)})  # type: ignore[no-untyped-call]  # left so
    # A worker takes a run when it can start it: one that it only held would be lost with it.
    made.conf.worker_disable_prefetch = True
    made.conf.broker_connection_retry_on_startup = True
    create_execute_job_task(made)
    return made


app: Final = build_app()
"""What `celery --app` looks for."""
