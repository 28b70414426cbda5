"""Loading table assets as DataFrames; the services write them."""

from typing import Any

import dagster as dg
import pandas as pd

from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.storage.frames import read_frame


class PostgresTables(dg.IOManager):
    """Reads a table asset, or some partitions of it, from Postgres."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def handle_output(self, context: dg.OutputContext, obj: object) -> None:
        """Refuse: assets of this project write their tables themselves."""
        raise dg.DagsterInvariantViolationError(
            f"{context.asset_key.to_user_string()} returned {type(obj).__name__}; table assets"
            " write through a service and return a MaterializeResult"
        )

    def load_input(self, context: dg.InputContext) -> pd.DataFrame:
        """The asset's rows, limited to the requested partitions."""
        partitions = context.asset_partition_keys if context.has_asset_partitions else None
        name: Any = context.asset_key.path[-1]
        return read_frame(self._connections.engine, name, partitions)
