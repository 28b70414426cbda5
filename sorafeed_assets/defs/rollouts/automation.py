"""When rollouts are evaluated by Dagster: the fallback for `sorafeed react`."""

from datetime import timedelta
from typing import Final

import dagster as dg

from sorafeed_assets.defs.common import PLAYLIST_PRIORITY, plain_failures
from sorafeed_assets.defs.dagster_internals import AssetJob, range_tags
from sorafeed_assets.defs.recording import follow_rollouts
from sorafeed_assets.defs.requests import ask, utc_now
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.domain.digest import content_digest

JOB_NAME: Final = "evaluate_rollouts"
_ASSET: Final = "rollouts"
# A running `react` would have evaluated them by then.
_LATE: Final = timedelta(seconds=15)
_AGAIN: Final = timedelta(minutes=1)


def build_evaluate_rollouts() -> AssetJob:
    """The job that evaluates rollouts, and checks that their steps are recorded."""
    return dg.define_asset_job(
        JOB_NAME,
        selection=dg.AssetSelection.assets(_ASSET) | dg.AssetSelection.checks_for_assets(_ASSET),
        description="Compare the displays in a rollout's share with the others, and continue, wait"
        " or roll back.",
        tags=PLAYLIST_PRIORITY,
    )


@dg.sensor(
    name="late_rollouts",
    description="Evaluates rollouts that were not evaluated for a minute and a quarter. Finds"
    " nothing to do while `react` runs.",
    job_name=JOB_NAME,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def late_rollouts(
    context: dg.SensorEvaluationContext, connections: dg.ResourceParam[Connections]
) -> dg.SensorResult | dg.SkipReason:
    """Evaluate rollouts that were not evaluated for a minute and a quarter.

    A sensor, because while `react` runs, which evaluates every minute, no run is needed.
    """
    with plain_failures():
        late = connections.rollouts.due(_LATE)
        if not late:
            return dg.SkipReason("every rollout that has not ended was evaluated")
        follow_rollouts(connections, context.instance)
    runs = [dg.RunRequest(job_name=JOB_NAME, tags=range_tags(name, name)) for name in late]
    minute = utc_now().replace(second=0, microsecond=0)
    return ask(context, content_digest([late, minute]), runs, again_after=_AGAIN)
