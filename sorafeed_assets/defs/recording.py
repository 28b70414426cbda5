"""Giving lineage records to Dagster: all waiting ones in graph order, or those of a run's step.

A record becomes an event that names it. A process that was killed may have stored the event
without noting it, so a record that was begun before is first looked up in Dagster: nothing
is recorded twice. A process that lost its session, and the lock with it, finds that out before it
stores events; if it is storing them at that moment, the look-up waits until it has.
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import dagster as dg
from dagster import AssetExecutionContext
from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from sorafeed_assets.defs.common import CODE_VERSION, DISPLAYS, ROLLOUTS
from sorafeed_assets.defs.dagster_internals import (
    LINEAGE_TAG,
    AssetEvent,
    AssetGraph,
    RunStep,
    is_automatic,
    last_event_id,
    silent_result,
    step_of,
    store_events,
    version_tags,
    wait_for_batches,
)
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.defs.samples import Metadata, samples_of
from sorafeed_assets.domain.automation import partition_change
from sorafeed_assets.services.counts.lineage import DAILY, POSTS
from sorafeed_assets.storage.counts.daily import lock_counts
from sorafeed_assets.storage.lineage_records import (
    NOTHING,
    WHOLE,
    Change,
    LineageRecord,
    ensure_heads,
    repeat_heads,
    taking,
    waiting_assets,
)
from sorafeed_assets.storage.lists import count_displays
from sorafeed_assets.storage.rollouts.rows import rollout_names

_tracer: Final = trace.get_tracer(__name__)

BY_DAY: Final = (POSTS, DAILY)
PLAYLISTS: Final = "playlists"
SEARCH_TERMS: Final = "search_terms"
_AT_ONCE: Final = 1_000
# Up to so many partitions are looked up one by one, whatever the number of displays.
_FEW: Final = 20
_EARLIER: Final = timedelta(minutes=5)
# Dagster's storage tries for seconds to connect again, while PostgreSQL recovers. Only then it
# begins to store, which may take longer.
_MAY_STORE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class RecordedAsset:
    """What recording needs to know of an asset."""

    name: str
    is_observed: bool
    partitions: dg.PartitionsDefinition[str] | None

    def partition_keys(self, instance: dg.DagsterInstance) -> set[str] | None:
        """The partitions that exist; None for an asset without."""
        if self.partitions is None:
            return None
        return set(self.partitions.get_partition_keys(dynamic_partitions_store=instance))

    def existing(self, instance: dg.DagsterInstance, partitions: Collection[str]) -> set[str]:
        """Those of ``partitions`` that exist; all of them for an asset without."""
        if self.partitions is DISPLAYS and len(partitions) <= _FEW:
            name = str(DISPLAYS.name)
            return {key for key in partitions if instance.has_dynamic_partition(name, key)}
        keys = self.partition_keys(instance)
        return set(partitions) if keys is None else keys & set(partitions)


@dataclass(slots=True)
class FollowedDisplays:
    """How many displays existed when Dagster's partitions were last updated."""

    number: int | None = None


def recorded_assets(graph: AssetGraph) -> list[RecordedAsset]:
    """All assets, each after those it is made from."""
    nodes = [graph.get(key) for key in graph.toposorted_asset_keys]
    return [
        RecordedAsset(node.key.to_user_string(), node.is_observable, node.partitions_def)
        for node in nodes
    ]


def follow_displays(connections: Connections, instance: dg.DagsterInstance) -> None:
    """Add and remove partitions, so that they are the displays that exist."""
    name = str(DISPLAYS.name)
    change = partition_change(
        instance.get_dynamic_partitions(name), connections.settler.all_displays()
    )
    if change.added:
        instance.add_dynamic_partitions(name, list(change.added))
    for gone in change.removed:
        instance.delete_dynamic_partition(name, gone)


def follow_rollouts(connections: Connections, instance: dg.DagsterInstance) -> None:
    """Add partitions, so that every rollout is one; a rollout is never deleted."""
    name = str(ROLLOUTS.name)
    with connections.engine.connect() as connection:
        missing = rollout_names(connection) - set(instance.get_dynamic_partitions(name))
    if missing:
        instance.add_dynamic_partitions(name, sorted(missing))


def record_waiting(
    connections: Connections,
    instance: dg.DagsterInstance,
    assets: Sequence[RecordedAsset],
    followed: FollowedDisplays | None = None,
) -> int:
    """Record all waiting records, asset by asset in the given order; returns how many.

    The partitions are first updated to the displays that exist. A caller that
    keeps ``followed`` between calls reads all displays only when their number has changed.
    """
    followed = followed or FollowedDisplays()
    with connections.engine.connect() as connection:
        number = count_displays(connection)
        waiting = waiting_assets(connection)
    # Also when nothing waits: a deleted display leaves no record. If another display was added
    # meanwhile, its record waits, and `record_asset` finds that it is not a partition yet.
    if number != followed.number:
        follow_displays(connections, instance)
        followed.number = number
    for name in waiting.keys() - {asset.name for asset in assets}:
        _pass_over(connections, name)
    if PLAYLISTS in waiting and SEARCH_TERMS not in waiting:
        repeat_terms(connections)
        waiting[SEARCH_TERMS] = waiting[PLAYLISTS]
    return sum(
        record_asset(connections, instance, asset) for asset in assets if asset.name in waiting
    )


def repeat_terms(connections: Connections) -> None:
    """Let the search terms be recorded again, because playlists have been recorded since.

    The transaction that settles a playlist tracks its terms. Without another record after that of
    the playlist, Dagster would show terms that stay the same as "Unsynced".
    """
    with connections.engine.begin() as connection:
        repeat_heads(connection, SEARCH_TERMS, None)


def _pass_over(connections: Connections, name: str) -> None:
    """Let nothing wait of an asset that the graph does not have, as without the old system.

    Its heads stay: `mend` repeats them where the graph has it.
    """
    while True:
        with taking(connections.engine, name, most=_AT_ONCE) as taken:
            if not taken.records:
                return


def record_asset(
    connections: Connections,
    instance: dg.DagsterInstance,
    asset: RecordedAsset,
    partitions: Collection[str] | None = None,
    step: RunStep | None = None,
    metadata: Metadata | None = None,
) -> int:
    """Record the waiting records of an asset, or of some of its partitions; returns how many.

    The events belong to ``step``, and have ``metadata`` in addition to their own.
    """
    recorded = 0
    while True:
        with (
            _tracer.start_as_current_span("record", attributes={"sorafeed.asset": asset.name}),
            taking(connections.engine, asset.name, partitions, most=_AT_ONCE) as taken,
        ):
            records = taken.records
            _link(records)
            wanted = {record.partition for record in records}
            keys = asset.existing(instance, wanted)
            if asset.partitions is DISPLAYS and keys != wanted:
                # A display was added after the partitions were read.
                follow_displays(connections, instance)
                keys = asset.existing(instance, wanted)
            elif asset.partitions is ROLLOUTS and keys != wanted:
                follow_rollouts(connections, instance)
                keys = asset.existing(instance, wanted)
            # A partition that Dagster does not have, such as a future day, gets no event.
            new = [record for record in records if record.partition in keys]
            there = _already_recorded(instance, asset, [r for r in new if r.attempts > 1])
            new = [record for record in new if record.id not in there]
            if new:
                events = _events(connections, instance, asset, new, metadata or {})
                taken.confirm()
                store_events(instance, events, step)
        recorded += len(records)
        if len(records) < _AT_ONCE:
            return recorded


def _link(records: Sequence[LineageRecord]) -> None:
    """Link the current span to those that made the records."""
    span = trace.get_current_span()
    span.set_attribute("sorafeed.records", len(records))
    if span.is_recording():
        parents = {str(record.metadata.get("traceparent", "")) for record in records}
        for parent in sorted(parents - {""}):
            context = TraceContextTextMapPropagator().extract({"traceparent": parent})
            span.add_link(trace.get_current_span(context).get_span_context())


def _events(
    connections: Connections,
    instance: dg.DagsterInstance,
    asset: RecordedAsset,
    records: Sequence[LineageRecord],
    metadata: Metadata,
) -> list[AssetEvent]:
    last = {record.partition: record for record in records}
    samples = samples_of(connections, asset.name, last.keys())
    seen = last_event_id(instance)
    return [
        _event(
            record,
            # A sample shows what the partition holds now, so only the last record gets it.
            {**metadata, **samples.get(record.partition, {})}
            if last[record.partition] is record
            else {},
            seen,
            observed=asset.is_observed,
        )
        for record in records
    ]


def _already_recorded(
    instance: dg.DagsterInstance, asset: RecordedAsset, records: Sequence[LineageRecord]
) -> set[int]:
    """The ids of the records that Dagster already has an event for."""
    if not records:
        return set()
    time.sleep(_MAY_STORE_SECONDS)
    wait_for_batches(instance)
    fetch = instance.fetch_observations if asset.is_observed else instance.fetch_materializations
    partitions = sorted({r.partition for r in records if r.partition != WHOLE})
    since = min(record.created_at for record in records) - _EARLIER
    wanted = dg.AssetRecordsFilter(
        dg.AssetKey(asset.name),
        asset_partitions=partitions or None,
        after_timestamp=since.timestamp(),
    )
    found: set[int] = set()
    cursor: str | None = None
    while True:
        page = fetch(wanted, limit=_AT_ONCE, cursor=cursor)
        for entry in page.records:
            event = entry.asset_observation if asset.is_observed else entry.asset_materialization
            name = ((event.tags if event else None) or {}).get(LINEAGE_TAG)
            if name is not None:
                found.add(int(name))
        if not page.has_more:
            return found
        cursor = page.cursor


def _event(
    record: LineageRecord,
    sample: Mapping[str, Any],
    last_event: int | None,
    *,
    observed: bool,
) -> AssetEvent:
    kind = dg.AssetObservation if observed else dg.AssetMaterialization
    tags = version_tags(
        record.data_version,
        {} if observed else record.made_from,
        code_version=None if observed else CODE_VERSION,
        last_event=last_event,
    )
    return kind(
        record.asset,
        partition=None if record.partition == WHOLE else record.partition,
        metadata={**record.metadata, **sample},
        tags={**tags, LINEAGE_TAG: str(record.id)},
    )


def record_step(
    context: AssetExecutionContext,
    connections: Connections,
    partitions: Sequence[str] | None = None,
    *,
    every: bool,
    metadata: Metadata | None = None,
) -> Iterator[dg.MaterializeResult[None]]:
    """Record what waits of this step's asset as its events; the result of the asset's body.

    ``every`` records each of ``partitions``, even when it did not change. The events
    have ``metadata`` of the step in addition to their own.
    """
    assets_def = context.assets_def
    asset = RecordedAsset(
        context.asset_key.to_user_string(), is_observed=False, partitions=assets_def.partitions_def
    )
    record_partitions(context, connections, asset, partitions, every=every, metadata=metadata)
    yield silent_result()


def record_partitions(
    context: AssetExecutionContext,
    connections: Connections,
    asset: RecordedAsset,
    partitions: Sequence[str] | None,
    *,
    every: bool,
    metadata: Metadata | None = None,
) -> None:
    """Record what waits of an asset, as events of this step."""
    asked = [WHOLE] if partitions is None else list(partitions)
    if every:
        with connections.engine.begin() as connection:
            if asset.name in BY_DAY:
                # A day that is counted for the first time just now is not empty.
                lock_counts(connection)
            ensure_heads(connection, [Change(asset.name, name, NOTHING) for name in asked])
            repeat_heads(connection, asset.name, asked)
    record_asset(connections, context.instance, asset, asked, step_of(context), metadata)


def is_by_hand(context: AssetExecutionContext) -> bool:
    """Whether a person launched the run, in which case every partition of it gets an event."""
    return not is_automatic(context.run.tags)
