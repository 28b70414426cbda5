"""The group `counts`."""

import dagster as dg

from sorafeed_assets.defs.checking import build_checks
from sorafeed_assets.defs.common import catalog_day_partitions
from sorafeed_assets.defs.counts import assets
from sorafeed_assets.defs.counts.automation import (
    build_refresh_counts,
    hourly_counts,
    new_posts,
)
from sorafeed_assets.defs.counts.checks import CHECKS
from sorafeed_assets.settings import Settings


def build(settings: Settings) -> dg.Definitions:
    """What the group adds to the graph."""
    days = catalog_day_partitions(settings.catalog_first_day)
    return dg.Definitions(
        assets=dg.with_source_code_references(
            [
                assets.search_terms,
                assets.build_video_counts_daily(days, settings.days_per_run),
                assets.video_counts_by_search,
                assets.video_candidates,
            ]
        ),
        asset_checks=build_checks(CHECKS),
        jobs=[build_refresh_counts()],
        schedules=[hourly_counts],
        sensors=[new_posts],
    )
