"""When counts are refreshed: hourly, and at once when posts or terms ask for it."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Final

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import (
    UnresolvedAssetJobDefinition,  # what define_asset_job returns; not exported
)

from sorafeed_assets.defs.catalog.assets import day_observations
from sorafeed_assets.defs.common import HOURLY_PRIORITY, day_range_tags, plain_failures
from sorafeed_assets.defs.requests import ask
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.domain.automation import (
    DayRange,
    day_ranges,
    days_to_count,
    refresh_is_due,
)
from sorafeed_assets.domain.digest import content_digest
from sorafeed_assets.services.counts.reads import (
    counted_days,
    day_versions,
    dirty_days,
    pending_changes,
    uncounted_terms,
)

JOB_NAME: Final = "refresh_counts"
_ASSETS: Final = (
    "search_terms",
    "video_counts_daily",
    "video_counts_by_search",
    "video_candidates",
    "count_cache",
    "admin_snapshot",
)


def build_refresh_counts() -> UnresolvedAssetJobDefinition:
    """The job that refreshes days, totals, candidates and caches."""
    return dg.define_asset_job(
        JOB_NAME,
        selection=dg.AssetSelection.assets(*_ASSETS),
        description="Refresh counts of catalog days, then totals, candidates and caches.",
        tags=HOURLY_PRIORITY,
    )


def ranges_to_count(connections: Connections) -> list[DayRange]:
    """The day ranges that need a refresh now."""
    engine = connections.engine
    dirty = dirty_days(engine)
    return day_ranges(
        days_to_count(
            dirty,
            {*counted_days(engine), *dirty},
            len(uncounted_terms(engine)),
            first=connections.settings.catalog_first_day,
            last=datetime.now(UTC).date(),
        )
    )


def _runs(ranges: Sequence[DayRange]) -> list[dg.RunRequest]:
    return [dg.RunRequest(job_name=JOB_NAME, tags=day_range_tags(days)) for days in ranges]


@dg.schedule(
    name="hourly_counts",
    cron_schedule="0 * * * *",
    job_name=JOB_NAME,
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def hourly_counts(
    context: dg.ScheduleEvaluationContext, connections: dg.ResourceParam[Connections]
) -> list[dg.RunRequest]:
    """Refresh the days that changed; on a quiet hour today's, which renews the caches' life."""
    with plain_failures():
        today = datetime.now(UTC).date()
        ranges = ranges_to_count(connections) or [DayRange(today, today)]
    return [
        dg.RunRequest(
            run_key=f"{context.scheduled_execution_time.isoformat()} {days.first}",
            tags=day_range_tags(days),
        )
        for days in ranges
    ]


@dg.sensor(
    name="new_posts",
    job_name=JOB_NAME,
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def new_posts(
    context: dg.SensorEvaluationContext, connections: dg.ResourceParam[Connections]
) -> dg.SensorResult | dg.SkipReason:
    """Refresh ahead of the hour: after edits and deletes, many new posts, or for new terms."""
    with plain_failures():
        pending = pending_changes(connections.engine)
        uncounted = uncounted_terms(connections.engine)
        versions = day_versions(connections.engine, pending.days)
        ranges = ranges_to_count(connections)
        observed = {day: versions[day] for days in ranges for day in versions if days.holds(day)}
    if not refresh_is_due(
        inserts=pending.inserts, edits=pending.edits, uncounted_terms=len(uncounted)
    ):
        return dg.SkipReason(f"{pending.inserts} new posts wait for the hour")
    request = content_digest([sorted(_named(versions).items()), uncounted])
    return ask(context, request, _runs(ranges), day_observations(observed))


def _named(versions: dict[date, str]) -> dict[str, str]:
    return {day.isoformat(): version for day, version in versions.items()}
