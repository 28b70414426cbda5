"""`sora_posts`: observed per catalog day; its data version changes when the day's posts do."""

from collections.abc import Iterator, Mapping
from datetime import date

import dagster as dg

from sorafeed_assets.defs.common import OWNERS, plain_failures, table_metadata, version_tags
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.services.counts.reads import day_versions
from sorafeed_assets.storage.postgres.tables import sora_posts

NO_POSTS = "none"


def build_sora_posts(days: dg.DailyPartitionsDefinition) -> dg.AssetsDefinition:
    """The observable asset over the partitions ``days``."""

    @dg.multi_observable_source_asset(  # type: ignore[untyped-decorator]  # Dagster left it so
        name="observe_sora_posts",
        specs=[
            dg.AssetSpec(
                "sora_posts",
                description=(
                    "The posts that an outside scanner writes, by the UTC date of `indexed_at`."
                    " A day's data version is the number of changes its posts have seen."
                ),
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
        wanted = [date.fromisoformat(key) for key in context.partition_keys]
        with plain_failures():
            versions = day_versions(connections.engine, wanted)
        for observation in day_observations(versions):
            context.log_event(observation)
        yield from ()

    built: dg.AssetsDefinition = observe_sora_posts
    return built


def day_observations(versions: Mapping[date, str]) -> list[dg.AssetObservation]:
    """An observation of `sora_posts` per catalog day, in order."""
    return [
        dg.AssetObservation(
            "sora_posts", partition=day.isoformat(), tags=version_tags(versions[day])
        )
        for day in sorted(versions)
    ]
