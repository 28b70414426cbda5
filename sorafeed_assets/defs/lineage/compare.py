"""Comparing the stored state with Dagster's records, for every asset and partition."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import dagster as dg

from sorafeed_assets.defs.dagster_internals import latest_versions
from sorafeed_assets.defs.recording import RecordedAsset
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.services.lineage import Only, StoredLineage, read_stored
from sorafeed_assets.storage.lineage_records import NOTHING

# A change may be recorded between the two reads, so a difference counts only if it lasts.
_LOOKS: Final = 4
_PAUSE_SECONDS: Final = 0.5

Key = tuple[str, str]
"""An asset and a partition; '' for an asset without."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """How many partitions are recorded as stored, how many wait, and which differ."""

    recorded: int
    waiting: int
    differing: Mapping[Key, str]

    @property
    def differ(self) -> int:
        """How many partitions differ; each is named in ``differing``, with both versions."""
        return len(self.differing)

    def as_json(self) -> dict[str, int]:
        """The figures of `sorafeed status --json`."""
        return {"recorded": self.recorded, "waiting": self.waiting, "differ": self.differ}


def read_lineage(
    connections: Connections,
    instance: dg.DagsterInstance,
    assets: Sequence[RecordedAsset],
    partitions: Collection[str] | None = None,
) -> Lineage:
    """Compare all partitions of ``assets``; those that differ are compared again.

    With ``partitions``, compares only these, of a single asset.
    """
    lasting: dict[Key, str] | None = None
    for look in range(_LOOKS):
        if look:
            time.sleep(_PAUSE_SECONDS)
        found = _look(connections, instance, assets, partitions)
        lasting = {
            key: text for key, text in found.differing.items() if lasting is None or key in lasting
        }
        if not lasting:
            break
    return Lineage(found.recorded, found.waiting, lasting or {})


def _look(
    connections: Connections,
    instance: dg.DagsterInstance,
    assets: Sequence[RecordedAsset],
    partitions: Collection[str] | None,
) -> Lineage:
    only = Only(assets[0].name, partitions) if len(assets) == 1 else None
    stored = read_stored(connections.engine, connections.redis, only)
    recorded = waiting = 0
    differing: dict[Key, str] = {}
    for asset in assets:
        if asset.name not in stored.versions:
            continue
        if partitions is None:
            keys = asset.partition_keys(instance)
        else:
            keys = asset.existing(instance, partitions)
        latest = latest_versions(
            instance,
            asset.name,
            observed=asset.is_observed,
            partitioned=keys is not None,
            partitions=partitions,
        )
        here = stored.versions[asset.name]
        for partition in (here.keys() | latest.keys()) if keys is None else keys:
            if stored.is_waiting(asset.name, partition):
                waiting += 1
            elif _is_equal(stored, asset.name, partition, latest.get(partition)):
                recorded += 1
            else:
                version = here.get(partition, NOTHING)
                differing[asset.name, partition] = (
                    f"{asset.name} {partition}: stored {version},"
                    f" recorded {latest.get(partition, 'nothing')}"
                )
    return Lineage(recorded, waiting, differing)


def _is_equal(stored: StoredLineage, asset: str, partition: str, latest: str | None) -> bool:
    # A partition that holds nothing and was never recorded does not differ.
    return stored.allows(asset, partition, NOTHING if latest is None else latest)
