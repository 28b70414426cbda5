"""The group `legacy`: nothing without an old catalogue."""

import dagster as dg

from sorafeed_assets.defs.common import catalog_day_partitions
from sorafeed_assets.defs.legacy.assets import build_legacy_posts
from sorafeed_assets.settings import Settings


def build(settings: Settings) -> dg.Definitions:
    """What the group adds to the graph."""
    if settings.legacy_catalog_url is None:
        return dg.Definitions()
    return dg.Definitions(
        assets=[build_legacy_posts(catalog_day_partitions(settings.catalog_first_day))]
    )
