"""The group `catalog`."""

import dagster as dg

from sorafeed_assets.defs.catalog.assets import build_sora_posts
from sorafeed_assets.defs.common import catalog_day_partitions
from sorafeed_assets.settings import Settings


def build(settings: Settings) -> dg.Definitions:
    """What the group adds to the graph; posts come from the old catalogue where one is named."""
    days = catalog_day_partitions(settings.catalog_first_day)
    upstream = [] if settings.legacy_catalog_url is None else ["legacy_posts"]
    return dg.Definitions(assets=[build_sora_posts(days, upstream)])
