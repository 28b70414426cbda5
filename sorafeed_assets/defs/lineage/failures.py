"""The sensor that describes each failed run in one sentence."""

import re
from collections.abc import Iterable
from typing import Final

import dagster as dg

# Its message lists the blocking checks, an asset a line.
_CHECKS_FAILED: Final = "DagsterAssetCheckFailedError"


def cause_of(event: dg.DagsterEvent) -> str:
    """Why a step failed: what the step said, or the first line of its error."""
    failure = event.step_failure_data
    told = failure.user_failure_data
    if told and told.description:
        return told.description
    error = failure.error and (failure.error.cause or failure.error)
    if error is None or not error.message.strip():
        return "unknown"
    # The path of the error's class tells a reader nothing.
    text = re.sub(rf"^[\w.]*\b{re.escape(error.cls_name or '')}: ", "", error.message.strip())
    first, *rest = text.splitlines() or [str(error.cls_name)]
    return f"failed checks: {'; '.join(rest)}" if error.cls_name == _CHECKS_FAILED else first


def failure_sentence(job: str, run_id: str, step_errors: list[tuple[str, str]]) -> str:
    """What failed and why, from (step, why it failed) pairs."""
    reasons = "; ".join(f"{step}: {error}" for step, error in step_errors) or "no step has started"
    return f"run {run_id[:8]} of {job} failed: {reasons}"


def step_errors(events: Iterable[dg.DagsterEvent]) -> list[tuple[str, str]]:
    """(step, why it failed) of each failed step."""
    return [(str(event.step_key), cause_of(event)) for event in events]


@dg.run_failure_sensor(
    name="failed_runs",
    description="Logs each failed run in one sentence: the job, the failed steps and why.",
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=15,
)
def failed_runs(context: dg.RunFailureSensorContext) -> None:
    """Log each failed run in a sentence; `lineage.alerts` sends it where that is configured."""
    errors = step_errors(context.get_step_failure_events())
    run = context.dagster_run
    context.log.error(failure_sentence(run.job_name, run.run_id, errors))
