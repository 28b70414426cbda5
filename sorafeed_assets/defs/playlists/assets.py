"""`playlists`, observed per display, and `active_playlists`, which activates."""

from collections.abc import Iterator

import dagster as dg

from sorafeed_assets.defs.common import (
    CODE_VERSION,
    DISPLAYS,
    OWNERS,
    RETRIES,
    DisplaysConfig,
    plain_failures,
    table_metadata,
)
from sorafeed_assets.defs.recording import (
    RecordedAsset,
    is_by_hand,
    record_partitions,
    record_step,
)
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.storage.postgres import tables


@dg.multi_observable_source_asset(  # type: ignore[untyped-decorator]  # Dagster left it so
    name="observe_playlists",
    specs=[
        dg.AssetSpec(
            "playlists",
            description=(
                "The playlists of a display, written by people. The data version is a fingerprint"
                " of the active one's blocks: a new name changes nothing."
            ),
            group_name="playlists",
            owners=OWNERS,
            kinds={"postgres"},
            metadata=table_metadata(tables.playlist_blocks),
            partitions_def=DISPLAYS,
            skippable=True,
        )
    ],
    partitions_def=DISPLAYS,
)
def observe_playlists(
    context: dg.AssetExecutionContext, connections: dg.ResourceParam[Connections]
) -> Iterator[dg.ObserveResult]:
    """Record the last settled playlist version of the requested displays."""
    asset = RecordedAsset("playlists", is_observed=True, partitions=DISPLAYS)
    with plain_failures():
        record_partitions(context, connections, asset, context.partition_keys, every=True)
    yield from ()


@dg.asset(
    deps=["playlists"],
    partitions_def=DISPLAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="playlists",
    owners=OWNERS,
    kinds={"postgres"},
    code_version=CODE_VERSION,
    retry_policy=RETRIES,
    metadata=table_metadata(tables.playlists),
)
def active_playlists(
    context: dg.AssetExecutionContext,
    config: DisplaysConfig,
    connections: dg.ResourceParam[Connections],
) -> Iterator[dg.MaterializeResult[None]]:
    """Activation: the newest playlist of a display is active, unless one was chosen by hand."""
    with plain_failures():
        displays = config.asked(context, connections)
        connections.settler.activate(displays)
        observed = RecordedAsset("playlists", is_observed=True, partitions=DISPLAYS)
        record_partitions(context, connections, observed, displays, every=False)
        every = not config.displays and is_by_hand(context)
        yield from record_step(context, connections, displays, every=every)
