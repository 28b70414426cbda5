"""Checks of activation."""

from collections.abc import Sequence
from typing import Final

from sorafeed_assets.defs.checking import DisplayCheck, Problems
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.services.playlists.activation import check_activation


def _one_active_playlist(connections: Connections, displays: Sequence[str]) -> Problems:
    return check_activation(connections.engine, displays)


CHECKS: Final = (
    DisplayCheck(
        "active_playlists",
        "one_active_playlist",
        "A display with playlists has exactly one active, and no newer one waits for activation.",
        _one_active_playlist,
    ),
)
