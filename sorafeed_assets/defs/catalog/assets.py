"""`sora_posts`: observed per catalog day; its data version changes when the day's posts do."""

from collections.abc import Iterator, Sequence

import dagster as dg

from sorafeed_assets.defs.common import OWNERS, plain_failures, table_metadata
from sorafeed_assets.defs.recording import RecordedAsset, record_partitions
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.services.counts.reads import record_posts
from sorafeed_assets.storage.postgres.tables import sora_posts


def build_sora_posts(
    days: dg.DailyPartitionsDefinition, upstream: Sequence[str] = ()
) -> dg.AssetsDefinition:
    """The observable asset over the partitions ``days``; ``upstream`` are assets it is from."""

    @dg.multi_observable_source_asset(  # type: ignore[untyped-decorator]  # Dagster left it so
        name="observe_sora_posts",
        specs=[
            dg.AssetSpec(
                "sora_posts",
                description=(
                    "The posts that an outside scanner writes, by the UTC date of `indexed_at`."
                    " A day's data version is the number of changes its posts have seen."
                ),
                deps=list(upstream),
                group_name="catalog",
                owners=OWNERS,
                kinds={"postgres"},
                metadata=table_metadata(sora_posts),
                partitions_def=days,
                # One observation a day, each with its own version, instead of one for all.
                skippable=True,
            )
        ],
        partitions_def=days,
    )
    def observe_sora_posts(
        context: dg.AssetExecutionContext, connections: dg.ResourceParam[Connections]
    ) -> Iterator[dg.ObserveResult]:
        with plain_failures():
            record_posts(connections.engine)
            asset = RecordedAsset("sora_posts", is_observed=True, partitions=days)
            record_partitions(context, connections, asset, context.partition_keys, every=True)
        yield from ()

    built: dg.AssetsDefinition = observe_sora_posts
    return built
