"""`rollouts`: where each rollout stands; materializing a partition evaluates it."""

from collections.abc import Iterator

import dagster as dg

from sorafeed_assets.defs.common import (
    CODE_VERSION,
    OWNERS,
    RETRIES,
    ROLLOUTS,
    plain_failures,
    table_metadata,
)
from sorafeed_assets.defs.recording import is_by_hand, record_step
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.storage.postgres import tables


@dg.asset(
    deps=[dg.AssetDep("display_timelines", partition_mapping=dg.AllPartitionMapping())],
    partitions_def=ROLLOUTS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="rollouts",
    owners=OWNERS,
    kinds={"postgres", "python"},
    code_version=CODE_VERSION,
    retry_policy=RETRIES,
    metadata=table_metadata(tables.rollouts),
)
def rollouts(
    context: dg.AssetExecutionContext, connections: dg.ResourceParam[Connections]
) -> Iterator[dg.MaterializeResult[None]]:
    """The state of each rollout: its step, its share, and why; each step is an event."""
    names = list(context.partition_keys)
    with plain_failures():
        for name in names:
            evaluation = connections.rollouts.evaluate(name)
            if evaluation is not None:
                context.log.info("%s: %s, %s", name, evaluation.verdict, evaluation.after.status)
        yield from record_step(context, connections, names, every=is_by_hand(context))
