"""Terms, daily counts, totals and candidate pools."""

from collections.abc import Iterator
from datetime import UTC, date, datetime

import dagster as dg
import pandas as pd
from sqlalchemy import Engine

from sorafeed_assets.defs.catalog.assets import NO_POSTS, day_observations
from sorafeed_assets.defs.common import (
    BY_EVENT,
    CODE_VERSION,
    HEAVY_POOL,
    OWNERS,
    RETRIES,
    MetadataEntry,
    as_markdown,
    last_event,
    partition_materialization,
    plain_failures,
    preview,
    table_metadata,
    version_tags,
)
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.domain.automation import days_outside
from sorafeed_assets.domain.digest import content_digest
from sorafeed_assets.services.commands import TERMS_TAG, tell_others
from sorafeed_assets.services.counts.pools import refresh_candidates
from sorafeed_assets.services.counts.reads import (
    counted_days,
    counts_versions,
    day_versions,
    dirty_days,
    refresh_days,
)
from sorafeed_assets.services.counts.terms import TermsSync, sync_search_terms
from sorafeed_assets.services.counts.totals import refresh_totals
from sorafeed_assets.storage.frames import read_frame
from sorafeed_assets.storage.postgres import tables
from sorafeed_assets.storage.samples import Preview


def terms_version(engine: Engine) -> str:
    """The data version of `search_terms`: its terms in order."""
    return content_digest(read_frame(engine, "search_terms")["term"].tolist())


def follow_terms(connections: Connections) -> TermsSync:
    """Synchronize the tracked terms, and tell the servers when they changed."""
    synced = sync_search_terms(connections.engine)
    if synced.is_change and connections.settings.redis_url is not None:
        tell_others(connections.redis, [TERMS_TAG])
    return synced


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
) -> dg.MaterializeResult[None]:
    """Tracked terms: every search of any playlist, normalized, plus the watched ones."""
    with plain_failures():
        synced = follow_terms(connections)
        version = terms_version(connections.engine)
    for problem in synced.problems:
        context.log.warning(problem)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(version),
        metadata=_terms_metadata(connections.engine, synced),
    )


def terms_materialization(
    instance: dg.DagsterInstance, engine: Engine, synced: TermsSync
) -> dg.AssetMaterialization:
    """The event of `search_terms` for a job that synchronizes terms in passing."""
    return dg.AssetMaterialization(
        "search_terms",
        metadata=_terms_metadata(engine, synced),
        tags=version_tags(
            terms_version(engine),
            {"playlists": BY_EVENT},
            code_version=CODE_VERSION,
            last_event=last_event(instance),
        ),
    )


def _terms_metadata(engine: Engine, synced: TermsSync) -> dict[str, MetadataEntry]:
    return {
        "terms": synced.kept + synced.added,
        "added": synced.added,
        "removed": synced.removed,
        "unusable_blocks": len(synced.problems),
        "preview": preview(engine, "search_terms"),
    }


def unpartitioned_days(connections: Connections) -> list[date]:
    """Days with waiting changes that lie outside the partitions."""
    return days_outside(
        dirty_days(connections.engine),
        first=connections.settings.catalog_first_day,
        last=datetime.now(UTC).date(),
    )


class CountsConfig(dg.Config):
    """How `video_counts_daily` works: ``recount`` repairs days from their posts' text."""

    recount: bool = False


def _partition_days(connections: Connections) -> set[date]:
    """The counted days that have a partition."""
    first, last = connections.settings.catalog_first_day, datetime.now(UTC).date()
    return {day for day in counted_days(connections.engine) if first <= day <= last}


def build_video_counts_daily(days: dg.DailyPartitionsDefinition) -> dg.AssetsDefinition:
    """The counts asset over the partitions ``days``."""

    @dg.asset(
        name="video_counts_daily",
        deps=["sora_posts", search_terms],
        partitions_def=days,
        backfill_policy=dg.BackfillPolicy.single_run(),
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
        config: CountsConfig,
        connections: dg.ResourceParam[Connections],
    ) -> Iterator[dg.MaterializeResult[None]]:
        """Exact counts of a catalog day, per term and format; differences where that is cheaper.

        A term that is new is counted over the whole catalogue at once, whatever days are asked;
        posts with a time in the future, or before the first day, go along with any day.
        """
        wanted = [date.fromisoformat(key) for key in context.partition_keys]
        with plain_failures():
            refresh = refresh_days(
                connections.engine,
                [*wanted, *unpartitioned_days(connections)],
                pool_size=connections.settings.candidates_per_pool,
                recount=config.recount,
                on_progress=connections.progress("Counting posts"),
            )
            # A new term was counted on all days.
            days = _partition_days(connections) if refresh.terms_counted else set()
            touched = sorted({*wanted, *days})
            posts = day_versions(connections.engine, touched)
            counts = counts_versions(connections.engine, touched)
            sample = preview(connections.engine, "video_counts_daily")
        for observation in day_observations(posts):
            context.log_event(observation)
        digest = content_digest({day.isoformat(): counts[day] for day in wanted})
        only = counts[wanted[0]] if len(wanted) == 1 else digest
        yield dg.MaterializeResult(
            data_version=dg.DataVersion(only),
            metadata={**refresh.metadata(), "preview": sample},
        )
        if len(touched) > 1:  # each day's own version, where Dagster gives all days one
            terms = terms_version(connections.engine)
            seen = last_event(context.instance)
            for day in touched:
                upstream = {"sora_posts": posts.get(day, NO_POSTS), "search_terms": terms}
                context.log_event(
                    partition_materialization(
                        "video_counts_daily",
                        day.isoformat(),
                        counts[day],
                        upstream=upstream,
                        last_event=seen,
                    )
                )

    return video_counts_daily


def _totals(engine: Engine) -> pd.DataFrame:
    # An empty table would be of no type.
    return read_frame(engine, "video_counts_by_search").astype({"total_count": "int64"})


def largest_totals(engine: Engine) -> dg.MarkdownMetadataValue:
    """The terms that most posts match."""
    frame = _totals(engine)
    top = frame[frame["format"] == "mixed"].nlargest(10, "total_count")
    rows = [
        [str(term), f"{int(total):,}"]
        for term, total in zip(top["search_term"], top["total_count"], strict=True)
    ]
    return as_markdown(Preview(("search_term", "total_count"), rows))


@dg.asset(
    deps=["video_counts_daily"],
    group_name="counts",
    owners=OWNERS,
    kinds={"postgres"},
    code_version=CODE_VERSION,
    retry_policy=RETRIES,
    metadata={
        "dagster/table_name": "public.video_counts_by_search",
        "dagster/column_schema": dg.TableSchema(
            columns=[
                dg.TableColumn("search_term", "text", description="the normalized query"),
                dg.TableColumn("format", "text", description="mixed, wide or tall"),
                dg.TableColumn("total_count", "bigint", description="matching posts"),
                dg.TableColumn("refreshed_at", "timestamp with time zone"),
            ]
        ),
    },
)
def video_counts_by_search(
    connections: dg.ResourceParam[Connections],
) -> dg.MaterializeResult[None]:
    """Totals per term and format; a term that is not counted yet is missing, never zero."""
    with plain_failures():
        totals = refresh_totals(connections.engine)
        frame = _totals(connections.engine)
    return dg.MaterializeResult(
        data_version=dg.DataVersion(totals.data_version),
        metadata={
            "dagster/row_count": totals.rows,
            "was_changed": int(totals.changed),
            "largest_count": int(frame["total_count"].max()) if len(frame) else 0,
            "terms_without_match": int(
                (frame.query("format == 'mixed'")["total_count"] == 0).sum()
            ),
            "preview": largest_totals(connections.engine),
        },
    )


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
def video_candidates(connections: dg.ResourceParam[Connections]) -> dg.MaterializeResult[None]:
    """Per term and shape: the newest posts, and those with the smallest hash of their id.

    Counting keeps the pools as it goes; this brings short ones back to their size.
    """
    with plain_failures():
        refreshed = refresh_candidates(
            connections.engine, pool_size=connections.settings.candidates_per_pool
        )
        sample = preview(connections.engine, "video_candidates")
    return dg.MaterializeResult(
        data_version=dg.DataVersion(refreshed.data_version),
        metadata={
            "dagster/row_count": refreshed.rows,
            "terms_changed": refreshed.terms_changed,
            "preview": sample,
        },
    )
