"""Definitions of no single group: a lineage check of every asset, and the failed runs."""

import dagster as dg

from sorafeed_assets.defs.lineage.alerts import build_alerts
from sorafeed_assets.defs.lineage.checks import build_lineage_checks
from sorafeed_assets.defs.lineage.failures import failed_runs
from sorafeed_assets.defs.recording import recorded_assets
from sorafeed_assets.services.lineage import COMPARED
from sorafeed_assets.settings import Settings


def build(settings: Settings) -> dg.Definitions:
    """The sensors that send failures to a webhook, if one is configured."""
    return dg.Definitions(sensors=build_alerts(settings))


def build_over(definitions: dg.Definitions) -> dg.Definitions:
    """The checks and sensors that are added to the graph of all groups."""
    recorded = recorded_assets(definitions.resolve_asset_graph())
    assets = [asset for asset in recorded if asset.name in COMPARED]
    return dg.Definitions(asset_checks=build_lineage_checks(assets), sensors=[failed_runs])
