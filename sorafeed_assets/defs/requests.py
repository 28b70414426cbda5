"""How sensors request runs: their earlier requests decide whether to request again."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from sorafeed_assets.defs.common import ASKED_BY_TAG
from sorafeed_assets.domain.automation import PastRun, RunState, reason_to_wait

_REQUEST: Final = "sorafeed/request"
# More than the number of failures after which the longest pause is reached.
_RUNS_LOOKED_AT: Final = 12
_STATES: Final = {
    dg.DagsterRunStatus.SUCCESS: RunState.SUCCEEDED,
    dg.DagsterRunStatus.FAILURE: RunState.FAILED,
    dg.DagsterRunStatus.CANCELED: RunState.FAILED,
}


def utc_now() -> datetime:
    """Now."""
    return datetime.now(UTC)


def ask(
    context: dg.SensorEvaluationContext,
    request: str,
    runs: Sequence[dg.RunRequest],
    partitions: Sequence[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest] = (),
    *,
    cursor: str | None = None,
    again_after: timedelta | None = None,
) -> dg.SensorResult | dg.SkipReason:
    """Request ``runs``, unless an earlier request of this sensor is a reason to wait.

    ``request`` is a digest of the reason: once a run for it has succeeded it is not repeated, or
    only after ``again_after``. ``partitions`` are added and removed with the runs.
    """
    name = context.sensor_name
    past = _past_runs(context.instance, name)
    reason = reason_to_wait(request, past, utc_now(), again_after=again_after)
    if reason:
        return dg.SkipReason(reason)
    tags = {ASKED_BY_TAG: name, _REQUEST: request}
    return dg.SensorResult(
        run_requests=[_tagged(run, tags) for run in runs],
        dynamic_partitions_requests=list(partitions),
        cursor=cursor,
    )


def _tagged(run: dg.RunRequest, tags: dict[str, str]) -> dg.RunRequest:
    return dg.RunRequest(
        job_name=run.job_name, run_config=run.run_config, tags={**run.tags, **tags}
    )


def _past_runs(instance: dg.DagsterInstance, sensor: str) -> list[PastRun]:
    records = instance.get_run_records(
        dg.RunsFilter(tags={ASKED_BY_TAG: sensor}), limit=_RUNS_LOOKED_AT
    )
    return [
        PastRun(
            record.dagster_run.tags.get(_REQUEST, ""),
            _STATES.get(record.dagster_run.status, RunState.ACTIVE),
            datetime.fromtimestamp(record.end_time, UTC) if record.end_time else None,
        )
        for record in records
    ]
