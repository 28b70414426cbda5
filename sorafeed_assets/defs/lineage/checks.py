"""`lineage_is_true`: a check of each asset that Dagster has recorded what is stored.

It covers the partitions of its run, and all of them in a run without partitions.
"""

import dagster as dg

from sorafeed_assets.defs.checking import checked_partitions
from sorafeed_assets.defs.common import check_result, plain_failures
from sorafeed_assets.defs.lineage.compare import read_lineage
from sorafeed_assets.defs.recording import RecordedAsset
from sorafeed_assets.defs.resources import Connections

NAME = "lineage_is_true"


def build_lineage_checks(assets: list[RecordedAsset]) -> list[dg.AssetChecksDefinition]:
    """One check for each asset."""
    return [_build(asset) for asset in assets]


def _build(asset: RecordedAsset) -> dg.AssetChecksDefinition:
    @dg.asset_check(
        asset=asset.name,
        name=NAME,
        description="Each partition's last recorded data version is the stored one, or a"
        " record of it is waiting.",
    )
    def run_check(
        context: dg.AssetCheckExecutionContext, connections: dg.ResourceParam[Connections]
    ) -> dg.AssetCheckResult:
        with plain_failures():
            partitions = checked_partitions(context, asset.name, asset.partitions)
            lineage = read_lineage(connections, context.instance, [asset], partitions)
        return check_result(
            lineage.differing.values(), lineage.recorded + lineage.waiting + lineage.differ
        )

    return run_check
