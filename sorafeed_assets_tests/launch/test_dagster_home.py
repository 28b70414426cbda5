"""Dagster's home: its variables, and what a killed `up` leaves in its storage."""

import dagster as dg
import pytest

from sorafeed_assets.launch.dagster_home import environment
from sorafeed_assets.launch.dagster_instance import end_interrupted_runs
from sorafeed_assets.settings import load_settings


@pytest.mark.parametrize("status", ["STARTING", "STARTED", "CANCELING"])
def test_interrupted_runs_hold_up_nobody(status: str) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        for each in (status, "NOT_STARTED", "SUCCESS"):
            instance.add_run(
                dg.DagsterRun(job_name="rebuild_displays", status=dg.DagsterRunStatus(each))
            )
        assert end_interrupted_runs(instance) == 1
        assert sorted(run.status.value for run in instance.get_runs()) == [
            "FAILURE", "NOT_STARTED", "SUCCESS",
        ]  # fmt: skip
        assert end_interrupted_runs(instance) == 0


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg2"])
def test_dagster_is_given_an_address_for_its_own_driver(scheme: str) -> None:
    settings = load_settings(dagster_url=f"{scheme}://user@host:5432/dagster")
    given = environment(settings)["SORAFEED_DAGSTER_URL"]
    assert given == "postgresql+psycopg2://user@host:5432/dagster"
