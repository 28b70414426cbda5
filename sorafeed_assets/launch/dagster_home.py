"""Dagster's home in the data folder, and its instance."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import dagster as dg

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.launch.servers import psycopg2_url
from sorafeed_assets.settings import Settings

# The number of planned materializations of a run that are stored at once.
_EVENTS_AT_ONCE: Final = "1000"


def prepare_home(settings: Settings) -> Path:
    """Create or update Dagster's home with the project's dagster.yaml; returns the folder."""
    home = settings.data_dir.resolve() / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    parts = (Path(__file__).with_name("storage.yaml"), _dagster_yaml())
    (home / "dagster.yaml").write_text("\n".join(part.read_text() for part in parts))
    return home


def _dagster_yaml() -> Path:
    """The project's dagster.yaml: at the top of a checkout, in the package of an installation."""
    package = Path(__file__).parents[1]
    for folder in (package.parent, package):
        if (folder / "dagster.yaml").exists():
            return folder / "dagster.yaml"
    raise SetupError("dagster.yaml is missing from the installation; install the package again")


def end_interrupted_runs(instance: dg.DagsterInstance) -> int:
    """Record runs as failed whose processes were killed with their `up`; returns how many.

    Sensors and pools would otherwise wait for them. No other `up` may use the instance.
    """
    statuses = [
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.CANCELING,
    ]
    runs = instance.get_runs(dg.RunsFilter(statuses=statuses))
    for run in runs:
        instance.report_run_failed(run, "The process of this run was killed; it is run again.")
    return len(runs)


def environment(settings: Settings) -> dict[str, str]:
    """The variables with which any Dagster process joins this instance."""
    home = settings.data_dir.resolve() / "dagster"
    variables = {
        "DAGSTER_HOME": str(home),
        "DAGSTER_EVENT_BATCH_SIZE": _EVENTS_AT_ONCE,
        **settings.as_environment(),
    }
    if settings.dagster_url is not None:
        variables["SORAFEED_DAGSTER_URL"] = psycopg2_url(str(settings.dagster_url))
    return variables


@contextmanager
def open_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Open the instance of the data folder; creates its storage if it is missing."""
    home = prepare_home(settings)
    before = dict(os.environ)
    # The storage of dagster.yaml reads its address from the environment.
    os.environ.update(environment(settings))
    try:
        with dg.DagsterInstance.from_config(str(home)) as instance:
            yield instance
    finally:
        os.environ.clear()
        os.environ.update(before)
