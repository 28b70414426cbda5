"""Terms, daily counts, totals and candidate pools."""

from collections.abc import Iterator
from datetime import UTC, date, datetime

import dagster as dg

from sorafeed_assets.defs.common import (
    CODE_VERSION,
    HEAVY_POOL,
    HOURLY,
    OWNERS,
    RETRIES,
    DaysConfig,
    columns_metadata,
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
from sorafeed_assets.domain.automation import days_outside
from sorafeed_assets.services.counts.pools import refresh_candidates
from sorafeed_assets.services.counts.reads import dirty_days
from sorafeed_assets.services.counts.refresh import refresh_days
from sorafeed_assets.services.counts.totals import refresh_totals
from sorafeed_assets.storage.postgres import tables


@dg.asset(
    deps=["playlists"],
    group_name="counts",
    owners=OWNERS,
    kinds={"postgres"},
    code_version=CODE_VERSION,
    retry_policy=RETRIES,
    metadata=table_metadata(tables.search_terms),
)
def search_terms(
    context: dg.AssetExecutionContext, connections: dg.ResourceParam[Connections]
) -> Iterator[dg.MaterializeResult[None]]:
    """Tracked terms: every search of any playlist, normalized, plus the watched ones."""
    with plain_failures():
        problems = connections.settler.follow_terms().problems
        for problem in problems:
            context.log.warning(problem)
        metadata = {"unusable_blocks": len(problems)}
        yield from record_step(context, connections, every=True, metadata=metadata)


def unpartitioned_days(connections: Connections) -> list[date]:
    """Days with waiting changes that no partition covers."""
    return days_outside(
        dirty_days(connections.engine),
        first=connections.settings.catalog_first_day,
        last=datetime.now(UTC).date(),
    )


def build_video_counts_daily(
    days: dg.DailyPartitionsDefinition, days_per_run: int | None
) -> dg.AssetsDefinition:
    """The counts asset over the partitions ``days``; a backfill's runs take ``days_per_run``."""
    policy = dg.BackfillPolicy

    @dg.asset(
        name="video_counts_daily",
        deps=["sora_posts", search_terms],
        partitions_def=days,
        backfill_policy=policy.multi_run(days_per_run) if days_per_run else policy.single_run(),
        group_name="counts",
        owners=OWNERS,
        kinds={"postgres", "python"},
        code_version=CODE_VERSION,
        retry_policy=RETRIES,
        pool=HEAVY_POOL,
        metadata=table_metadata(tables.video_counts_daily),
    )
    def video_counts_daily(
        context: dg.AssetExecutionContext,
        config: DaysConfig,
        connections: dg.ResourceParam[Connections],
    ) -> Iterator[dg.MaterializeResult[None]]:
        """Exact counts of a catalog day, per term and format; differences where that is cheaper.

        A new term is counted over the whole catalogue at once, whatever days are requested;
        posts with a time in the future, or before the first day, are counted with any day.
        """
        with plain_failures():
            asked = config.asked(context)
            refresh = refresh_days(
                connections.engine,
                [*map(date.fromisoformat, asked), *unpartitioned_days(connections)],
                pool_size=connections.settings.candidates_per_pool,
                recount=config.recount,
                on_progress=connections.progress("Counting posts"),
            )
            observed = RecordedAsset("sora_posts", is_observed=True, partitions=days)
            record_partitions(context, connections, observed, asked, every=False)
            every = not config.days and is_by_hand(context)
            yield from record_step(
                context, connections, asked, every=every, metadata=refresh.metadata()
            )

    return video_counts_daily


@dg.asset(
    deps=["video_counts_daily"],
    group_name="counts",
    owners=OWNERS,
    kinds={"postgres"},
    code_version=CODE_VERSION,
    retry_policy=RETRIES,
    freshness_policy=HOURLY,
    metadata=columns_metadata(
        "sorafeed.public.video_counts_by_search",
        {
            "search_term": ("text", "the normalized query"),
            "format": ("text", "mixed, wide or tall"),
            "total_count": ("bigint", "how many posts match"),
            "refreshed_at": ("timestamp with time zone", "when the view was refreshed"),
        },
    ),
)
def video_counts_by_search(
    context: dg.AssetExecutionContext, connections: dg.ResourceParam[Connections]
) -> Iterator[dg.MaterializeResult[None]]:
    """Totals per term and format; a term that is not counted yet is missing, never zero."""
    with plain_failures():
        refresh_totals(connections.engine)
        yield from record_step(context, connections, every=True)


@dg.asset(
    deps=["sora_posts", search_terms, "video_counts_daily"],
    group_name="counts",
    owners=OWNERS,
    kinds={"postgres"},
    code_version=CODE_VERSION,
    retry_policy=RETRIES,
    pool=HEAVY_POOL,
    metadata=table_metadata(tables.video_candidates),
)
def video_candidates(
    context: dg.AssetExecutionContext, connections: dg.ResourceParam[Connections]
) -> Iterator[dg.MaterializeResult[None]]:
    """Per term and shape: the newest posts, and those with the smallest hash of their id.

    Counting keeps the pools up to date; this asset refills pools that are too small.
    """
    with plain_failures():
        refresh_candidates(connections.engine, pool_size=connections.settings.candidates_per_pool)
        yield from record_step(context, connections, every=True)
