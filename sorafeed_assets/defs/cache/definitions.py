"""The group `cache`."""

import dagster as dg

from sorafeed_assets.defs.cache import assets
from sorafeed_assets.defs.cache.checks import CHECKS
from sorafeed_assets.defs.checking import build_checks
from sorafeed_assets.settings import Settings


def build(_settings: Settings) -> dg.Definitions:
    """What the group adds to the graph, and the sensor that evaluates automation conditions."""
    return dg.Definitions(
        assets=dg.with_source_code_references(
            [assets.count_cache, assets.timeline_cache, assets.admin_snapshot]
        ),
        asset_checks=build_checks(CHECKS),
        sensors=[
            dg.AutomationConditionSensorDefinition(
                "automation",
                description="Evaluates the automation conditions of assets: `admin_snapshot` is"
                " written after changes, at most every five minutes.",
                target=dg.AssetSelection.assets("admin_snapshot"),
                default_status=dg.DefaultSensorStatus.RUNNING,
                minimum_interval_seconds=60,
            )
        ],
    )
