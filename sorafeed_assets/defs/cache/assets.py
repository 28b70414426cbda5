"""Count cache, timeline cache and admin snapshot."""

from collections.abc import Iterator, Mapping

import dagster as dg
from sqlalchemy import Engine

from sorafeed_assets.defs.common import (
    BY_EVENT,
    CODE_VERSION,
    DISPLAYS,
    OWNERS,
    RETRIES,
    MetadataEntry,
    counted_previews,
    last_event,
    latest_version,
    plain_failures,
    version_tags,
)
from sorafeed_assets.defs.counts.assets import largest_totals
from sorafeed_assets.defs.recording import (
    PartitionResult,
    partition_results,
    recorded_versions,
)
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.services.cache.write import (
    read_admin_snapshot,
    write_admin_snapshot,
    write_count_cache,
    write_timeline_cache,
)


def _columns(**columns: str) -> dict[str, object]:
    return {
        "dagster/column_schema": dg.TableSchema(
            columns=[dg.TableColumn(name, type_) for name, type_ in columns.items()]
        )
    }


@dg.asset(
    deps=["video_counts_by_search"],
    group_name="cache",
    owners=OWNERS,
    kinds={"redis"},
    code_version=CODE_VERSION,
    retry_policy=RETRIES,
    metadata=_columns(key="sorafeed:count:{search_term}:{format}", value="integer"),
)
def count_cache(connections: dg.ResourceParam[Connections]) -> dg.MaterializeResult[None]:
    """The totals in Redis, written over the old ones in one transaction, for 24 hours."""
    with plain_failures():
        written = write_count_cache(
            connections.engine, connections.redis, ttl=connections.settings.cache_ttl_seconds
        )
    return dg.MaterializeResult(
        data_version=dg.DataVersion(written.data_version),
        metadata={
            "keys": written.written,
            "removed": written.removed,
            "preview": largest_totals(connections.engine),
        },
    )


def cache_results(
    engine: Engine, instance: dg.DagsterInstance, versions: Mapping[str, str]
) -> dict[str, PartitionResult]:
    """What `timeline_cache` records, per display."""
    timelines = recorded_versions(instance, "display_timelines")
    metadata = counted_previews(engine, "display_timelines", versions.keys(), "videos")
    return {
        display: PartitionResult(
            version,
            upstream={"display_timelines": timelines.get(display, "none")},
            metadata=metadata[display],
        )
        for display, version in sorted(versions.items())
    }


@dg.asset(
    deps=["display_timelines"],
    partitions_def=DISPLAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="cache",
    owners=OWNERS,
    kinds={"redis"},
    code_version=CODE_VERSION,
    retry_policy=RETRIES,
    metadata=_columns(key="sorafeed:timeline:{display}", value="json: build, position, videos"),
)
def timeline_cache(
    context: dg.AssetExecutionContext, connections: dg.ResourceParam[Connections]
) -> Iterator[dg.MaterializeResult[None]]:
    """What a display plays next, in Redis, for 24 hours."""
    with plain_failures():
        versions = write_timeline_cache(
            connections.engine,
            connections.redis,
            context.partition_keys,
            ttl=connections.settings.cache_ttl_seconds,
        )
        results = cache_results(connections.engine, context.instance, versions)
    yield from partition_results(context, "timeline_cache", results)


@dg.asset(
    deps=["video_counts_by_search", "display_timelines"],
    group_name="cache",
    owners=OWNERS,
    kinds={"redis"},
    code_version=CODE_VERSION,
    retry_policy=RETRIES,
    metadata=_columns(key="sorafeed:admin:snapshot", value="json: displays, totals, counts"),
)
def admin_snapshot(connections: dg.ResourceParam[Connections]) -> dg.MaterializeResult[None]:
    """The wall at a glance: all displays and counts, in one value."""
    with plain_failures():
        version = write_admin_snapshot(
            connections.engine, connections.redis, ttl=connections.settings.cache_ttl_seconds
        )
        metadata = _admin_metadata(connections)
    return dg.MaterializeResult(data_version=dg.DataVersion(version), metadata=metadata)


def _admin_metadata(connections: Connections) -> dict[str, MetadataEntry]:
    snapshot = read_admin_snapshot(connections.engine)
    return {
        "displays": len(snapshot["displays"]),
        **snapshot["totals"],
        "preview": dg.MetadataValue.json(snapshot["displays"][:5]),
    }


def admin_result(
    instance: dg.DagsterInstance, connections: Connections, version: str
) -> dg.AssetMaterialization:
    """What the displays' job records for the admin snapshot."""
    upstream = {
        "video_counts_by_search": latest_version(instance, "video_counts_by_search"),
        "display_timelines": BY_EVENT,
    }
    return dg.AssetMaterialization(
        "admin_snapshot",
        metadata=_admin_metadata(connections),
        tags=version_tags(
            version, upstream, code_version=CODE_VERSION, last_event=last_event(instance)
        ),
    )
