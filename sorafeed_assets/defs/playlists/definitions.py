"""The group `playlists`."""

import dagster as dg

from sorafeed_assets.defs.checking import build_checks
from sorafeed_assets.defs.playlists.assets import active_playlists, observe_playlists
from sorafeed_assets.defs.playlists.checks import CHECKS
from sorafeed_assets.settings import Settings


def build(_settings: Settings) -> dg.Definitions:
    """What the group adds to the graph."""
    return dg.Definitions(
        assets=dg.with_source_code_references([observe_playlists, active_playlists]),
        asset_checks=build_checks(CHECKS),
    )
