"""When counts are refreshed: hourly, and earlier when posts or terms require it."""

from collections.abc import Collection
from datetime import UTC, date, datetime, timedelta
from typing import Final

import dagster as dg

from sorafeed_assets.defs.common import (
    HOURLY_PRIORITY,
    DaysConfig,
    default_config,
    plain_failures,
    run_over_days,
)
from sorafeed_assets.defs.dagster_internals import AssetJob
from sorafeed_assets.defs.requests import ask
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.domain.automation import days_to_count, refresh_is_due
from sorafeed_assets.domain.digest import content_digest
from sorafeed_assets.services.counts.reads import (
    counted_days,
    day_versions,
    dirty_days,
    pending_changes,
    uncounted_terms,
)
from sorafeed_assets.services.unsettled import unrecorded_assets

JOB_NAME: Final = "refresh_counts"
ASSETS: Final = (
    "search_terms",
    "video_counts_daily",
    "video_counts_by_search",
    "video_candidates",
    "count_cache",
    "admin_snapshot",
)
_LATE: Final = timedelta(seconds=30)
# A running `react` would have applied these changes, or begun to count, by then.
_LEFT_ALONE: Final = timedelta(seconds=5)


def build_refresh_counts() -> AssetJob:
    """The job that refreshes days, totals, candidates and caches."""
    return dg.define_asset_job(
        JOB_NAME,
        # Observed assets are not steps of the job; their checks are.
        selection=dg.AssetSelection.assets(*ASSETS)
        | dg.AssetSelection.checks_for_assets("sora_posts"),
        description="Refresh counts of catalog days, then totals, candidates and caches.",
        config=default_config({"video_counts_daily": DaysConfig()}),
        tags=HOURLY_PRIORITY,
    )


def days_to_refresh(connections: Connections) -> list[date]:
    """The catalog days that need a refresh now."""
    engine = connections.engine
    dirty = dirty_days(engine)
    return days_to_count(
        dirty,
        {*counted_days(engine), *dirty},
        len(uncounted_terms(engine)),
        first=connections.settings.catalog_first_day,
        last=datetime.now(UTC).date(),
    )


@dg.schedule(
    name="hourly_counts",
    cron_schedule="0 * * * *",
    job_name=JOB_NAME,
    execution_timezone="UTC",
    description="Refreshes the counts of the catalog days that changed, in one run; without"
    " changes those of today, which renews the caches.",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def hourly_counts(
    context: dg.ScheduleEvaluationContext, connections: dg.ResourceParam[Connections]
) -> dg.RunRequest:
    """Refresh the days that changed, in one run; without changes today's, which renews caches.

    A schedule, because readers rely on an hourly refresh, whether or not posts changed.
    """
    with plain_failures():
        days = days_to_refresh(connections)
    return run_over_days(JOB_NAME, days, run_key=context.scheduled_execution_time.isoformat())


@dg.sensor(
    name="new_posts",
    description="Refreshes counts ahead of the hour: after edits and deletes, changes of the"
    " blocklist, many new posts, or for new search terms. Finds nothing to do while `react` runs.",
    job_name=JOB_NAME,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def new_posts(
    context: dg.SensorEvaluationContext, connections: dg.ResourceParam[Connections]
) -> dg.SensorResult | dg.SkipReason:
    """Refresh ahead of the hour: after edits, deletes, many new posts, or for new terms.

    It also runs when changes of counts were not recorded. While `react` runs, the sensor finds
    nothing to do: recent changes are left to it. A sensor, because the outbox of posts is in no
    event that an automation condition could see.
    """
    with plain_failures():
        pending = pending_changes(connections.engine)
        uncounted = uncounted_terms(connections.engine)
        versions = day_versions(connections.engine, pending.days)
        days = days_to_refresh(connections)
        first, last = connections.settings.catalog_first_day, datetime.now(UTC).date()
        unrecorded = unrecorded_assets(connections.engine, ASSETS, first, last, older_than=_LATE)
    recent = datetime.now(UTC) - _LEFT_ALONE
    is_late = pending.since is not None and pending.since <= recent
    is_due = refresh_is_due(
        inserts=pending.inserts if is_late else 0,
        edits=pending.edits if is_late else 0,
        uncounted_terms=sum(since <= recent for since in uncounted.values()),
    )
    if not is_due and not unrecorded:
        return dg.SkipReason(f"{pending.inserts} new posts wait for the hour")
    chosen: Collection[date] = days if is_due else unrecorded.days
    request = content_digest(
        [
            sorted((day.isoformat(), version) for day, version in versions.items()),
            uncounted,
            sorted(unrecorded.since.items()),
            pending.targets,
        ]
    )
    return ask(context, request, [run_over_days(JOB_NAME, chosen)])
