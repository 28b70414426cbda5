"""Dagster's instance in the data folder."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import dagster as dg

from sorafeed_assets.launch.dagster_home import environment, prepare_home
from sorafeed_assets.settings import Settings


def end_interrupted_runs(instance: dg.DagsterInstance, before: datetime) -> int:
    """Record runs as failed whose processes were killed with their `up`; returns how many.

    Sensors and pools would otherwise wait for them. No other `up` may use the instance, and this
    one began at ``before``.
    """
    statuses = [
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.CANCELING,
    ]
    runs = instance.get_runs(dg.RunsFilter(statuses=statuses, created_before=before))
    for run in runs:
        instance.report_run_failed(run, "The process of this run was killed; it is run again.")
    return len(runs)


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
