"""Loading assets as DataFrames; the services write them.

pandas is imported when a frame is read, because most of what loads the graph reads none.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import dagster as dg

from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.services.legacy.lineage import LEGACY_POSTS
from sorafeed_assets.storage.cache.frames import FRAMES as CACHE_FRAMES
from sorafeed_assets.storage.frames import FRAMES, read_frame

if TYPE_CHECKING:
    import pandas as pd

_PLANNED: Final = "display_timelines"


def loadable_assets() -> frozenset[str]:
    """The assets that load as DataFrames."""
    return frozenset({*FRAMES, *CACHE_FRAMES, LEGACY_POSTS})


class Frames(dg.IOManager):
    """Reads an asset, or some partitions of it, from where it is stored."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Refuse: assets of this project are written by services.

        Raises:
            DagsterInvariantViolationError: always.
        """
        raise dg.DagsterInvariantViolationError(
            f"{context.asset_key.to_user_string()} returned {type(obj).__name__}; assets write"
            " through a service and return a MaterializeResult"
        )

    def load_input(self, context: dg.InputContext) -> "pd.DataFrame":
        """The asset's rows, or its plan, limited to the requested partitions.

        Raises:
            InvalidInputError: the asset cannot be read like this.
            UnavailableError: a server does not answer.
        """
        from sorafeed_assets.services.timelines.frames import Plan, plan_frame

        partitions = context.asset_partition_keys if context.has_asset_partitions else None
        name = context.asset_key.path[-1]
        if context.dagster_type.typing_type is not Plan:
            return _read(self._connections, name, partitions)
        if name != _PLANNED:
            raise InvalidInputError("python_type", f"{name} has no plan; {_PLANNED} has")
        return plan_frame(self._connections.engine, partitions)


def _read(connections: Connections, asset: str, partitions: Sequence[str] | None) -> "pd.DataFrame":
    if asset in CACHE_FRAMES:
        return CACHE_FRAMES[asset](connections.redis, partitions)
    if asset == LEGACY_POSTS:
        from sorafeed_assets.storage.legacy.frames import old_posts_frame

        url = connections.settings.legacy_catalog_url
        if partitions is None or url is None:
            raise InvalidInputError(
                "partition_key", f"{asset} loads by day; name one, such as 2026-11-24"
            )
        return old_posts_frame(str(url), partitions)
    return read_frame(connections.engine, asset, partitions)
