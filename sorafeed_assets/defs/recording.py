"""Recording many displays in one run: an event per display, each with its own data version."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Final

import dagster as dg

from sorafeed_assets.defs.checking import Check
from sorafeed_assets.defs.common import Metadata, last_event, partition_materialization
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.domain.digest import content_digest


@dataclass(frozen=True, slots=True)
class PartitionResult:
    """What one display's partition of an asset is recorded with."""

    data_version: str
    upstream: Mapping[str, str] = field(default_factory=dict)
    metadata: Metadata = field(default_factory=dict)

    def materialization(
        self, asset: str, partition: str, last_event: int | None
    ) -> dg.AssetMaterialization:
        """The event to log; ``last_event`` is the newest one so far."""
        return partition_materialization(
            asset,
            partition,
            self.data_version,
            upstream=self.upstream,
            last_event=last_event,
            metadata=self.metadata,
        )


def partition_results(
    context: dg.AssetExecutionContext, asset: str, results: Mapping[str, PartitionResult]
) -> Iterator[dg.MaterializeResult[None]]:
    """The answer of a per-display asset: its metadata and data version, display by display.

    Dagster gives the partitions of one run one data version; more than one display is followed
    by events of their own.
    """
    for display, result in results.items():
        context.add_asset_metadata(result.metadata, partition_key=display)
    versions = {display: result.data_version for display, result in results.items()}
    only = next(iter(versions.values())) if len(versions) == 1 else content_digest(versions)
    yield dg.MaterializeResult(data_version=dg.DataVersion(only))
    if len(results) > 1:
        seen = last_event(context.instance)
        for display, result in results.items():
            context.log_event(result.materialization(asset, display, seen))


_DATA_VERSION: Final = "dagster/data_version"
_MADE: Final = dg.DagsterEventType.ASSET_MATERIALIZATION


def recorded_versions(instance: dg.DagsterInstance, asset: str) -> dict[str, str]:
    """The data version of each partition's last materialization."""
    latest = instance.event_log_storage.get_latest_tags_by_partition(
        dg.AssetKey(asset), _MADE, [_DATA_VERSION]
    )
    return {partition: tags[_DATA_VERSION] for partition, tags in latest.items()}


def recorded_before(instance: dg.DagsterInstance, asset: str, upstream: str) -> set[str]:
    """The partitions of ``asset`` that were not materialized since ``upstream`` last was."""
    own = instance.get_latest_storage_id_by_partition(dg.AssetKey(asset), _MADE)
    other = instance.get_latest_storage_id_by_partition(dg.AssetKey(upstream), _MADE)
    return {partition for partition, event in other.items() if own.get(partition, 0) < event}


class Recorder:
    """Logs events of an op that stands for several per-display assets.

    Recorded are displays that changed, that were named, or whose last event is not what holds
    now, as after a run that broke off; the others' last events still hold.
    """

    def __init__(self, context: dg.OpExecutionContext, *, named: Set[str]) -> None:
        self._context = context
        self._named = named

    @property
    def instance(self) -> dg.DagsterInstance:
        """Where the events go."""
        return self._context.instance

    def log(self, event: dg.AssetMaterialization) -> None:
        """Log one event as it is."""
        self._context.log_event(event)

    def observe(self, observations: Iterable[dg.AssetObservation]) -> None:
        """Log the observations whose data version is not the recorded one."""
        for observation in observations:
            latest = self.instance.fetch_observations(
                dg.AssetRecordsFilter(
                    observation.asset_key, asset_partitions=[str(observation.partition)]
                ),
                limit=1,
            ).records
            known = latest[0].asset_observation if latest else None
            if known is None or known.tags != observation.tags:
                self._context.log_event(observation)

    def materialize(
        self,
        asset: str,
        results: Mapping[str, PartitionResult],
        *,
        changed: Collection[str],
    ) -> None:
        """Log a materialization of each display that is to be recorded."""
        known = recorded_versions(self.instance, asset)
        seen = last_event(self.instance)
        for display, result in sorted(results.items()):
            holds = known.get(display) == result.data_version
            if display in changed or display in self._named or not holds:
                self._context.log_event(result.materialization(asset, display, seen))

    def follow(self, asset: str, upstream: str, results: Mapping[str, PartitionResult]) -> None:
        """Log a materialization of each display whose ``upstream`` was recorded meanwhile.

        What the asset holds may change more often than that, with each play.
        """
        due = recorded_before(self.instance, asset, upstream)
        seen = last_event(self.instance)
        for display, result in sorted(results.items()):
            if display in due or display in self._named:
                self._context.log_event(result.materialization(asset, display, seen))

    def check(self, check: Check, connections: Connections) -> None:
        """Evaluate a check and log how it went."""
        result = check.evaluate(connections)
        evaluation = dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(check.asset),
            check_name=check.name,
            passed=result.passed,
            metadata=result.metadata,
            severity=result.severity,
            description=result.description,
        )
        self._context.log_event(evaluation)  # type: ignore[arg-type]  # taken, only not declared
