"""`legacy_posts`: the posts of the old catalogue, observed per catalog day.

A day's data version is the digest that the last comparison of the day has read there.
"""

from collections.abc import Iterator

import dagster as dg

from sorafeed_assets.defs.common import OWNERS, columns_metadata, plain_failures
from sorafeed_assets.defs.recording import RecordedAsset, record_partitions
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.services.legacy.lineage import LEGACY_POSTS, record_legacy_posts
from sorafeed_assets.storage.legacy.columns import NEEDED
from sorafeed_assets.storage.postgres.descriptions import description_of
from sorafeed_assets.storage.postgres.tables import sora_posts


def build_legacy_posts(days: dg.DailyPartitionsDefinition) -> dg.AssetsDefinition:
    """The observable asset over the partitions ``days``."""
    columns = {
        name: (min(types), description_of(sora_posts.c[name]) or name)
        for name, types in NEEDED["sora_posts"].items()
    }

    @dg.multi_observable_source_asset(  # type: ignore[untyped-decorator]  # Dagster left it so
        name="observe_legacy_posts",
        specs=[
            dg.AssetSpec(
                LEGACY_POSTS,
                description=(
                    "The posts of the old system's catalogue, by the UTC date of `indexed_at`."
                    " A day's data version is their number and digest there, as of the day's"
                    " last comparison."
                ),
                group_name="legacy",
                owners=OWNERS,
                kinds={"postgres"},
                metadata=columns_metadata("legacy.public.sora_posts", columns),
                partitions_def=days,
                skippable=True,
            )
        ],
        partitions_def=days,
    )
    def observe_legacy_posts(
        context: dg.AssetExecutionContext, connections: dg.ResourceParam[Connections]
    ) -> Iterator[dg.ObserveResult]:
        with plain_failures():
            record_legacy_posts(connections.engine)
            asset = RecordedAsset(LEGACY_POSTS, is_observed=True, partitions=days)
            record_partitions(context, connections, asset, context.partition_keys, every=True)
        yield from ()

    built: dg.AssetsDefinition = observe_legacy_posts
    return built
