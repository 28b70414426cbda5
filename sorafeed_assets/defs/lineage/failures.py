"""The sensor that describes each failed run in one sentence."""

from collections.abc import Iterable

import dagster as dg


def first_line(message: str) -> str:
    """The first line of an error's text; '' when it is empty."""
    return next(iter(message.strip().splitlines()), "unknown")


def failure_sentence(job: str, run_id: str, step_errors: list[tuple[str, str]]) -> str:
    """What failed and why, from (step, first line of its error) pairs."""
    reasons = "; ".join(f"{step}: {error}" for step, error in step_errors) or "no step has started"
    return f"run {run_id[:8]} of {job} failed: {reasons}"


def step_errors(events: Iterable[dg.DagsterEvent]) -> list[tuple[str, str]]:
    """(step, first line of its error) of each failed step."""
    errors = []
    for event in events:
        failure = event.step_failure_data
        data = failure.user_failure_data
        text = data.description if data and data.description else None
        error = failure.error
        cause = first_line((error.cause or error).message) if error else "unknown"
        errors.append((str(event.step_key), text or cause))
    return errors


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
