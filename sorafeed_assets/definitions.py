"""What Dagster loads: the asset graph with its checks, jobs, schedules and sensors."""

import dagster as dg

from sorafeed_assets.defs.cache import assets as cache
from sorafeed_assets.defs.cache.checks import COUNT_CACHE_CHECKS, TIMELINE_CACHE_CHECKS
from sorafeed_assets.defs.catalog.assets import build_sora_posts
from sorafeed_assets.defs.checking import build_checks
from sorafeed_assets.defs.common import catalog_day_partitions
from sorafeed_assets.defs.counts import assets as counts
from sorafeed_assets.defs.counts.automation import (
    build_refresh_counts,
    hourly_counts,
    new_posts,
)
from sorafeed_assets.defs.counts.checks import COUNT_CHECKS
from sorafeed_assets.defs.failures import failed_runs
from sorafeed_assets.defs.io import PostgresTables
from sorafeed_assets.defs.playlists.assets import active_playlists, observe_playlists
from sorafeed_assets.defs.playlists.checks import ACTIVATION_CHECKS
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.defs.timelines.assets import display_timelines
from sorafeed_assets.defs.timelines.automation import (
    candidates_sensor,
    displays_sensor,
    low_queues_sensor,
    playlists_sensor,
)
from sorafeed_assets.defs.timelines.checks import TIMELINE_CHECKS
from sorafeed_assets.defs.timelines.rebuild import rebuild_displays
from sorafeed_assets.settings import Settings, load_settings


def build_definitions(
    settings: Settings | None = None, connections: Connections | None = None
) -> dg.Definitions:
    """Fresh definitions; nothing is connected to until something runs.

    Raises:
        SetupError: a setting is wrong.
    """
    settings = settings or load_settings()
    connections = connections or Connections(settings)
    days = catalog_day_partitions(settings.catalog_first_day)
    return dg.Definitions(
        assets=[
            build_sora_posts(days),
            counts.search_terms,
            counts.build_video_counts_daily(days),
            counts.video_counts_by_search,
            counts.video_candidates,
            observe_playlists,
            active_playlists,
            display_timelines,
            cache.count_cache,
            cache.timeline_cache,
            cache.admin_snapshot,
        ],
        asset_checks=build_checks(
            [
                *COUNT_CHECKS,
                *COUNT_CACHE_CHECKS,
                *ACTIVATION_CHECKS,
                *TIMELINE_CHECKS,
                *TIMELINE_CACHE_CHECKS,
            ]
        ),
        jobs=[build_refresh_counts(), rebuild_displays],
        schedules=[hourly_counts],
        sensors=[
            displays_sensor,
            playlists_sensor,
            new_posts,
            candidates_sensor,
            low_queues_sensor,
            failed_runs,
        ],
        resources={
            "connections": connections,
            "io_manager": PostgresTables(connections),
        },
        executor=dg.in_process_executor,
    )


defs = build_definitions()
