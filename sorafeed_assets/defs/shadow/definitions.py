"""The group `shadow`: nothing without an old catalogue, counts only without its queues."""

import dagster as dg

from sorafeed_assets.defs.checking import build_checks
from sorafeed_assets.defs.common import HOURLY_PRIORITY
from sorafeed_assets.defs.shadow.assets import shadow_counts, shadow_timelines
from sorafeed_assets.defs.shadow.checks import COUNTS_CHECKS, TIMELINES_CHECKS
from sorafeed_assets.settings import Settings

JOB_NAME = "compare_with_old"


def build(settings: Settings) -> dg.Definitions:
    """What the group adds to the graph."""
    if settings.legacy_catalog_url is None:
        return dg.Definitions()
    has_queues = settings.legacy_queues is not None
    assets = [shadow_counts, shadow_timelines] if has_queues else [shadow_counts]
    checks = [*COUNTS_CHECKS, *(TIMELINES_CHECKS if has_queues else ())]
    job = dg.define_asset_job(
        JOB_NAME,
        selection=dg.AssetSelection.groups("shadow"),
        description="Compare what is due today with the old system, and check the gate.",
        tags=HOURLY_PRIORITY,
    )
    hourly = dg.ScheduleDefinition(
        name="hourly_shadow",
        job=job,
        # Away from the refresh of counts and from the checks of displays.
        cron_schedule="15 * * * *",
        execution_timezone="UTC",
        description="Compares what is due today with the old system, a quarter past each hour.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
    )
    return dg.Definitions(
        assets=dg.with_source_code_references(assets),
        asset_checks=build_checks(checks),
        jobs=[job],
        schedules=[hourly],
    )
