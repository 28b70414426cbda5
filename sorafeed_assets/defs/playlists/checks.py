"""Checks of activation."""

from typing import Final

import dagster as dg

from sorafeed_assets.defs.checking import Check
from sorafeed_assets.defs.common import check_result
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.services.playlists.editing import check_activation


def _one_active_playlist(connections: Connections) -> dg.AssetCheckResult:
    problems = check_activation(connections.engine)
    return check_result([f"{d}: {problem}" for d, problem in problems.items()], len(problems))


CHECKS: Final = (
    Check(
        "active_playlists",
        "one_active_playlist",
        "A display with playlists has exactly one active, and no newer one waits.",
        _one_active_playlist,
    ),
)
