"""When displays are settled by Dagster: the fallback for `sorafeed react`.

While `react` runs, these sensors find nothing to do. Without it they do the same work, slower.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import dagster as dg

from sorafeed_assets.defs.common import (
    DISPLAYS,
    DISPLAYS_TAG,
    HOURLY_PRIORITY,
    PLAYLIST_PRIORITY,
    DisplaysConfig,
    default_config,
    plain_failures,
    run_over_displays,
)
from sorafeed_assets.defs.dagster_internals import AssetJob
from sorafeed_assets.defs.requests import ask
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.domain.automation import partition_change
from sorafeed_assets.domain.digest import content_digest
from sorafeed_assets.services.timelines.excluding import excluded_on
from sorafeed_assets.services.timelines.queues import low_displays, stale_displays
from sorafeed_assets.services.unsettled import (
    are_cached_since,
    uncached_displays,
    unrecorded_displays,
    waiting_displays,
)

JOB_NAME: Final = "rebuild_displays"
CHECKS_JOB_NAME: Final = "check_displays"
ASSETS: Final = ("active_playlists", "display_timelines", "timeline_cache")
_OBSERVED: Final = "playlists"
# A queue may run low again and again for the same reason.
_AGAIN: Final = timedelta(minutes=1)
# A running `react` would have settled these displays by then.
_LATE: Final = timedelta(seconds=5)


def build_rebuild_displays() -> AssetJob:
    """The job that activates, plans, publishes and caches displays."""
    return dg.define_asset_job(
        JOB_NAME,
        # Observed assets are not steps of the job; their checks are. The admin snapshot covers all
        # displays: it has a condition of its own, so that a run of one display does not write it.
        selection=dg.AssetSelection.assets(*ASSETS)
        | dg.AssetSelection.checks_for_assets(_OBSERVED),
        description="Activate, plan, publish and cache displays: those in the config, or all of"
        " the run's partitions; then check them.",
        config=default_config({asset: DisplaysConfig() for asset in ASSETS}),
        tags=PLAYLIST_PRIORITY,
    )


def build_check_displays() -> AssetJob:
    """The job that checks every display, and changes none."""
    return dg.define_asset_job(
        CHECKS_JOB_NAME,
        selection=dg.AssetSelection.checks_for_assets(_OBSERVED, *ASSETS),
        description="Check every display: its activation, plan, queue, cache and lineage.",
        tags=HOURLY_PRIORITY,
    )


@dg.schedule(
    name="hourly_checks",
    cron_schedule="30 * * * *",
    job_name=CHECKS_JOB_NAME,
    execution_timezone="UTC",
    description="Checks every display half an hour after each full hour, and changes none.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def hourly_checks(_context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
    """Check the whole wall.

    A run of displays checks those displays, and no run checks what `sorafeed react`
    settles. Every hour, because a screen should not be wrong for longer,
    and half an hour away from `hourly_counts`, because both read much of PostgreSQL.
    """
    return dg.RunRequest(tags={DISPLAYS_TAG: "all"})


@dg.sensor(
    name="unsettled",
    description="Settles displays that wait, play an old version, run low or are not recorded,"
    " and keeps the partitions equal to the displays. Finds nothing to do while `react` runs.",
    job_name=JOB_NAME,
    minimum_interval_seconds=5,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def unsettled_sensor(
    context: dg.SensorEvaluationContext, connections: dg.ResourceParam[Connections]
) -> dg.SensorResult | dg.SkipReason:
    """Settle displays that wait, play an old version, run low, or are not recorded.

    It also adds and removes partitions with the displays; a deleted one keeps its partition until
    it is settled. A sensor, because its inputs (an outbox, queues) are in no event that an
    automation condition could see.
    """
    engine = connections.engine
    with plain_failures():
        reasons = _reasons(connections)
        displays = connections.settler.all_displays()
    partitions = context.instance.get_dynamic_partitions(str(DISPLAYS.name))
    gone = [name for name in reasons if name in partitions and name not in displays]
    change = partition_change(partitions, [*displays, *gone])
    requests: list[dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest] = [
        *([DISPLAYS.build_add_request(list(change.added))] if change.added else []),
        *([DISPLAYS.build_delete_request(list(change.removed))] if change.removed else []),
    ]
    wanted = {name: why for name, why in reasons.items() if name in {*displays, *gone}}
    # Snapshots expire: all are written again before that.
    half_life = timedelta(seconds=connections.settings.cache_ttl_seconds / 2)
    half_lives = datetime.now(UTC).timestamp() // half_life.total_seconds()
    is_refresh = (
        bool(displays)
        and context.cursor != str(half_lives)
        # A wall that was just set up has new snapshots.
        and not (context.cursor is None and are_cached_since(engine, datetime.now(UTC) - half_life))
    )
    if is_refresh:
        wanted = dict.fromkeys(displays, "refresh") | wanted
    if not wanted:
        skip = None if requests else dg.SkipReason("every display is settled, cached and recorded")
        return dg.SensorResult(
            skip_reason=skip, dynamic_partitions_requests=requests, cursor=str(half_lives)
        )
    request = content_digest([sorted(wanted.items()), half_lives if is_refresh else 0])
    run = run_over_displays(JOB_NAME, ASSETS, wanted, [*partitions, *change.added])
    cursor = str(half_lives)
    return ask(context, request, [run], requests, cursor=cursor, again_after=_AGAIN)


def _reasons(connections: Connections) -> Mapping[str, str]:
    """Display → why it is not settled; each state has a different reason."""
    engine = connections.engine
    return {
        **dict.fromkeys(unrecorded_displays(engine, older_than=_LATE), "not recorded"),
        **uncached_displays(engine),
        **dict.fromkeys(low_displays(engine, low=connections.settings.low_queue), "low"),
        **waiting_displays(engine, older_than=_LATE),
        # Last, because this reason stays the same for a display that cannot be planned.
        **stale_displays(engine),
        **excluded_on(engine),
    }
