"""Dagster's non-public interfaces, with a public fallback where one is missing.

Other modules use only what `dagster` exports. A contract test runs these functions on a real
instance in PostgreSQL.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from threading import Lock
from typing import Any, Final, Self

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph as AssetGraph
from dagster._core.definitions.data_version import (
    CODE_VERSION_TAG,
    DATA_VERSION_IS_USER_PROVIDED_TAG,
    DATA_VERSION_TAG,
    INPUT_DATA_VERSION_TAG_PREFIX,
    INPUT_EVENT_POINTER_TAG_PREFIX,
)
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition
from dagster._core.events import (
    AssetObservationData,
    DagsterEvent,
    StepMaterializationData,
)
from dagster._core.events.log import EventLogEntry
from dagster._core.instance.utils import RUNLESS_JOB_NAME, RUNLESS_RUN_ID
from dagster._core.launcher import CheckRunHealthResult as CheckRunHealthResult
from dagster._core.launcher import WorkerStatus as WorkerStatus
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    AUTO_MATERIALIZE_TAG,
    AUTOMATION_CONDITION_TAG,
    PARTITION_NAME_TAG,
    PRIORITY_TAG,
)
from dagster._serdes import ConfigurableClassData
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.run_storage import PostgresRunStorage
from dagster_postgres.schedule_storage import PostgresScheduleStorage
from dagster_postgres.utils import create_pg_engine, pg_url_from_config
from sqlalchemy import Engine

from sorafeed_assets.storage.postgres.locks import wait_at_most, wait_for_writers

AssetJob = UnresolvedAssetJobDefinition
"""What `dagster.define_asset_job` returns."""
AssetEvent = dg.AssetMaterialization | dg.AssetObservation

LINEAGE_TAG: Final = "sorafeed/lineage_record"
"""The event tag that names the lineage record that the event was made from."""
_INFO: Final = 20
# For each of a process's three storages.
_KEPT_CONNECTIONS: Final = 2
_MILLISECOND: Final = 0.001
# A batch of a thousand events takes a fraction of a second.
_BATCH_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class RunStep:
    """The step of a run that events belong to."""

    run_id: str
    job: str
    step: str


def step_of(context: dg.AssetExecutionContext) -> RunStep:
    """The step that is being executed."""
    step = context.get_step_execution_context()
    return RunStep(context.run.run_id, context.run.job_name, step.step.key)


def silent_result() -> dg.MaterializeResult[None]:
    """The answer of a step that has stored its events itself.

    Dagster gives all partitions of a run one data version, and stores their events one by one.
    With this mark it stores none, and the downstream steps run.
    """
    return dg.MaterializeResult(metadata={SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True})


def version_tags(
    data_version: str,
    made_from: Mapping[str, str],
    *,
    code_version: str | None,
    last_event: int | None,
) -> dict[str, str]:
    """The event tags that carry a data version and what it was made from, as Dagster writes them.

    ``made_from`` has the data version of each upstream asset, by key; ``last_event`` is the newest
    event at that time: a later upstream event makes this one out of date.
    """
    return {
        DATA_VERSION_TAG: data_version,
        DATA_VERSION_IS_USER_PROVIDED_TAG: "true",
        **({CODE_VERSION_TAG: code_version} if code_version else {}),
        **{f"{INPUT_DATA_VERSION_TAG_PREFIX}/{key}": of for key, of in made_from.items()},
        **{
            f"{INPUT_EVENT_POINTER_TAG_PREFIX}/{key}": str(last_event or "NULL")
            for key in made_from
        },
    }


def range_tags(first: str, last: str) -> dict[str, str]:
    """The tags that make one run cover the partitions from ``first`` to ``last``."""
    return {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}


def partition_span(tags: Mapping[str, str]) -> tuple[str, str] | None:
    """The first and the last partition of a run; None for one without partitions."""
    if PARTITION_NAME_TAG in tags:
        return tags[PARTITION_NAME_TAG], tags[PARTITION_NAME_TAG]
    first, last = (
        tags.get(tag) for tag in (ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG)
    )
    return None if first is None or last is None else (first, last)


def priority_tags(priority: int) -> dict[str, str]:
    """The tag that lets runs of a higher priority start first."""
    return {PRIORITY_TAG: str(priority)}


def is_automatic(tags: Mapping[str, str]) -> bool:
    """Whether an automation condition asked for the run."""
    return AUTO_MATERIALIZE_TAG in tags or AUTOMATION_CONDITION_TAG in tags


class _Pooled:
    """A storage in PostgreSQL that keeps its connections.

    Dagster opens a connection for each statement, which costs more than most statements do: the
    daemon alone opens 20 a second.
    """

    postgres_url: str
    _engine: Engine

    def __init__(self, **config: Any) -> None:
        super().__init__(**config)
        self._engine = create_pg_engine(
            self.postgres_url,
            isolation_level="AUTOCOMMIT",
            pool_size=_KEPT_CONNECTIONS,
            max_overflow=-1,
            pool_pre_ping=True,
        )

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """The storage of the instance's configuration."""
        return cls(
            inst_data=inst_data,
            postgres_url=pg_url_from_config(config_value),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
        )

    def dispose(self) -> None:
        """Close the connections."""
        super().dispose()  # type: ignore[misc]  # of the storage
        self._engine.dispose()


class PooledRunStorage(_Pooled, PostgresRunStorage):
    """Dagster's runs in PostgreSQL, by connections that are kept."""


class PooledScheduleStorage(_Pooled, PostgresScheduleStorage):
    """Dagster's schedules, sensors and ticks in PostgreSQL, by connections that are kept."""


_BATCHED: Final = frozenset({
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_OBSERVATION,
})  # fmt: skip


class BatchingEventLogStorage(_Pooled, PostgresEventLogStorage):
    """Dagster's events in PostgreSQL; those of a batch are stored together, or none of them.

    Dagster's own storage commits the events of a batch before their tags. A process that ends in
    between leaves events without a data version, which seem to be recorded and are not. And what a
    run intends to materialize it writes one by one: 3,000 events took a minute. Dagster offers them
    as a batch where ``DAGSTER_EVENT_BATCH_SIZE`` is set.
    """

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events in order; consecutive events of one kind share a transaction."""
        for kind, found in groupby(events, lambda entry: entry.dagster_event_type):
            entries = list(found)
            if kind not in _BATCHED:
                super().store_event_batch(entries)
                continue
            last = {entry.get_dagster_event().asset_key: n for n, entry in enumerate(entries)}
            insert = self.prepare_insert_event_batch(entries)
            with self.index_transaction() as connection:
                ids = list(connection.scalars(insert.returning(SqlEventLogStorageTable.c.id)))
                self._store_asset_event_tags(connection, entries, ids)
                # In one order, so that runs of the same assets wait for each other.
                for key in sorted(last, key=str):
                    self._store_asset_event(connection, entries[last[key]], ids[last[key]])

    def wait_for_batches(self) -> None:
        """Wait until the batches that are being stored can be seen; later ones wait meanwhile."""
        with self.index_transaction() as connection:
            wait_at_most(connection, _BATCH_SECONDS)
            wait_for_writers(connection, SqlEventLogStorageTable.name)


def wait_for_batches(instance: dg.DagsterInstance) -> None:
    """Wait for events that another process is storing, which nothing shows before they all are."""
    storage = instance.event_log_storage
    if isinstance(storage, BatchingEventLogStorage):
        storage.wait_for_batches()


def last_event_id(instance: dg.DagsterInstance) -> int | None:
    """The id of the newest event."""
    return instance.event_log_storage.get_maximum_record_id()


def events_after(
    instance: dg.DagsterInstance, kind: dg.DagsterEventType, after: int | datetime, most: int
) -> list[dg.EventLogRecord]:
    """Events of all runs in the order of their ids, after an event's id or after a time."""
    if isinstance(after, datetime):
        wanted = dg.EventRecordsFilter(kind, after_timestamp=after.timestamp())
    else:
        wanted = dg.EventRecordsFilter(kind, after_cursor=after)
    return list(instance.event_log_storage.get_event_records(wanted, most, ascending=True))


def store_events(
    instance: dg.DagsterInstance, events: Sequence[AssetEvent], step: RunStep | None
) -> None:
    """Store events of one asset and one kind, in order, as events of ``step`` or of no run.

    One call is some hundred times faster than as many `report_runless_asset_event`, which is
    the public fallback where the batch is missing; its events belong to no run.
    """
    store = getattr(instance.event_log_storage, "store_event_batch", None)
    if store is None:
        for event in events:
            instance.report_runless_asset_event(event)
        return
    moments = _distinct_times(len(events))
    store([_entry(event, step, at) for event, at in zip(events, moments, strict=True)])


def _distinct_times(count: int) -> list[float]:
    """Times up to now, a millisecond apart and later than all earlier ones.

    The UI lists an asset's events by millisecond: of several in one it shows only the last.
    """
    with _times.lock:
        now = time.time()
        first = max(now - (count - 1) * _MILLISECOND, _times.last + _MILLISECOND)
        _times.last = first + (count - 1) * _MILLISECOND
    return [first + number * _MILLISECOND for number in range(count)]


@dataclass(slots=True)
class _Times:
    """The time of the event that this process stored last."""

    last: float = 0.0
    lock: Lock = field(default_factory=Lock)


_times: Final = _Times()


def _entry(event: AssetEvent, step: RunStep | None, at: float) -> EventLogEntry:
    data: Any
    if isinstance(event, dg.AssetMaterialization):
        kind, data = dg.DagsterEventType.ASSET_MATERIALIZATION, StepMaterializationData(event)
    else:
        kind, data = dg.DagsterEventType.ASSET_OBSERVATION, AssetObservationData(event)
    job = RUNLESS_JOB_NAME if step is None else step.job
    stored = DagsterEvent(
        event_type_value=kind.value,
        job_name=job,
        step_key=None if step is None else step.step,
        event_specific_data=data,
    )
    return EventLogEntry(  # type: ignore[no-untyped-call]  # Dagster left it so
        user_message="",
        level=_INFO,
        job_name=job,
        run_id=RUNLESS_RUN_ID if step is None else step.run_id,
        error_info=None,
        timestamp=at,
        step_key=stored.step_key,
        dagster_event=stored,
    )


def latest_versions(
    instance: dg.DagsterInstance,
    asset: str,
    *,
    observed: bool,
    partitioned: bool,
    partitions: Collection[str] | None = None,
) -> dict[str, str]:
    """Partition → the last recorded data version; '' for an asset without partitions.

    Covers all partitions, or those given.
    """
    if not partitioned:
        event = instance.get_latest_materialization_event(dg.AssetKey(asset))
        made = event.asset_materialization if event else None
        version = (made.tags or {}).get(DATA_VERSION_TAG) if made else None
        return {} if version is None else {"": version}
    kind = (
        dg.DagsterEventType.ASSET_OBSERVATION
        if observed
        else dg.DagsterEventType.ASSET_MATERIALIZATION
    )
    read = getattr(instance.event_log_storage, "get_latest_tags_by_partition", None)
    if read is None:
        return _latest_by_event(instance, asset, observed=observed)
    only = None if partitions is None else sorted(partitions)
    latest = read(dg.AssetKey(asset), kind, [DATA_VERSION_TAG], asset_partitions=only)
    return {name: tags[DATA_VERSION_TAG] for name, tags in latest.items()}


def _latest_by_event(instance: dg.DagsterInstance, asset: str, *, observed: bool) -> dict[str, str]:
    """`latest_versions` of a partitioned asset by the public interface, reading every event."""
    fetch = instance.fetch_observations if observed else instance.fetch_materializations
    versions: dict[str, str] = {}
    cursor: str | None = None
    while True:
        found = fetch(dg.AssetKey(asset), limit=1_000, cursor=cursor)
        for record in found.records:
            event = record.asset_observation if observed else record.asset_materialization
            if event is not None and event.partition is not None:
                version = (event.tags or {}).get(DATA_VERSION_TAG)
                if version is not None:
                    versions.setdefault(event.partition, version)
        if not found.has_more:
            return versions
        cursor = found.cursor
