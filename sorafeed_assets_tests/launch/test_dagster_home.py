"""What a killed `up` leaves in Dagster's storage."""

import dagster as dg
import pytest

from sorafeed_assets.launch.dagster_home import end_interrupted_runs


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
