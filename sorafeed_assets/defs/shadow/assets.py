"""`shadow_counts` and `shadow_timelines`: what comparing with the old system found."""

from collections.abc import Iterator
from threading import Event
from typing import Final

import dagster as dg

from sorafeed_assets.defs.common import (
    CODE_VERSION,
    OWNERS,
    RETRIES,
    plain_failures,
    table_metadata,
)
from sorafeed_assets.defs.recording import record_step
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.domain.errors import BusyError
from sorafeed_assets.services.shadow.run import (
    COUNTS_ASSET,
    TIMELINES_ASSET,
    compare_due,
    shadow_of,
)
from sorafeed_assets.storage.postgres import tables

# Less than an hour together; what is left is due in the next run.
_SECONDS: Final = 1_500.0


@dg.asset(
    name=COUNTS_ASSET,
    deps=["legacy_posts", "video_counts_by_search"],
    group_name="shadow",
    owners=OWNERS,
    kinds={"postgres", "python"},
    code_version=CODE_VERSION,
    retry_policy=RETRIES,
    metadata=table_metadata(tables.shadow_comparisons),
)
def shadow_counts(
    context: dg.AssetExecutionContext, connections: dg.ResourceParam[Connections]
) -> Iterator[dg.MaterializeResult[None]]:
    """Counts of the old system compared with those of this one, each once a day."""
    yield from _compare(context, connections, COUNTS_ASSET)


@dg.asset(
    name=TIMELINES_ASSET,
    deps=["legacy_posts", "shadow_counts", "display_timelines"],
    group_name="shadow",
    owners=OWNERS,
    kinds={"postgres", "python"},
    code_version=CODE_VERSION,
    retry_policy=RETRIES,
    metadata=table_metadata(tables.shadow_comparisons),
)
def shadow_timelines(
    context: dg.AssetExecutionContext, connections: dg.ResourceParam[Connections]
) -> Iterator[dg.MaterializeResult[None]]:
    """Plans, queues and plays of the old system compared with those of this one, once a day."""
    yield from _compare(context, connections, TIMELINES_ASSET)


def _compare(
    context: dg.AssetExecutionContext, connections: Connections, asset: str
) -> Iterator[dg.MaterializeResult[None]]:
    with plain_failures():
        shadow = shadow_of(connections.engine, connections.settings)
        try:
            done = compare_due(shadow, Event(), assets=[asset], seconds=_SECONDS)
            context.log.info("%s compared", sum(done.outcomes.values()))
        except BusyError as error:
            # `sorafeed shadow run` does the same work.
            context.log.info(str(error))
        yield from record_step(context, connections, every=True)
