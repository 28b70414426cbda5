"""The group `timelines`."""

import dagster as dg

from sorafeed_assets.defs.checking import build_checks
from sorafeed_assets.defs.timelines.assets import display_timelines
from sorafeed_assets.defs.timelines.automation import (
    build_check_displays,
    build_rebuild_displays,
    hourly_checks,
    unsettled_sensor,
)
from sorafeed_assets.defs.timelines.checks import CHECKS
from sorafeed_assets.settings import Settings


def build(_settings: Settings) -> dg.Definitions:
    """What the group adds to the graph."""
    return dg.Definitions(
        assets=dg.with_source_code_references([display_timelines]),
        asset_checks=build_checks(CHECKS),
        jobs=[build_rebuild_displays(), build_check_displays()],
        schedules=[hourly_checks],
        sensors=[unsettled_sensor],
    )
