"""Repairing lineage: what is stored but not recorded, and records that Dagster has lost.

A kill between a write to Redis and its record, rows deleted by hand, and a replaced Dagster
database each leave a difference that no later change would remove.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

import dagster as dg

from sorafeed_assets.defs.dagster_internals import latest_versions
from sorafeed_assets.defs.recording import BY_DAY, RecordedAsset, follow_displays, follow_rollouts
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.services.cache.lineage import ADMIN, COUNTS, TIMELINES
from sorafeed_assets.services.counts.mend import record_counts
from sorafeed_assets.services.lineage import StoredLineage, read_stored
from sorafeed_assets.services.rollouts.rollouts import ASSET as ROLLOUTS
from sorafeed_assets.services.rollouts.rollouts import record_rollouts
from sorafeed_assets.services.settle import PER_DISPLAY
from sorafeed_assets.storage.counts.daily import known_days
from sorafeed_assets.storage.counts.terms import keep_counting_away
from sorafeed_assets.storage.lineage_records import (
    NOTHING,
    WHOLE,
    Change,
    ensure_heads,
    heads,
    repeat_heads,
    unrecorded,
    waiting_partitions,
)
from sorafeed_assets.storage.timelines.unsynced import unsynced_displays

# Where posts arrive all the time, candidates never rest, and no timeline is planned for this.
_REST: Final = timedelta(minutes=1)
_MOST_SYNCED: Final = 50
Heads = Mapping[str, Mapping[str, str]]


def mend(
    connections: Connections, instance: dg.DagsterInstance, assets: Sequence[RecordedAsset]
) -> set[str]:
    """Record what is stored but not recorded; returns the assets that lacked a record.

    Some timelines that name earlier candidates are made again; see `storage.timelines.unsynced`.
    """
    follow_displays(connections, instance)
    follow_rollouts(connections, instance)
    _record_empty_days(connections, instance, assets)
    before = _heads(connections)
    stored = read_stored(connections.engine, connections.redis)
    known = _heads(connections)
    differing = {
        asset: [
            partition
            for partition, version in versions.items()
            if known.get(asset, {}).get(partition, NOTHING) != version
            # Records made meanwhile are newer than what was read.
            and known.get(asset, {}).get(partition) == before.get(asset, {}).get(partition)
            # A waiting record may name a version that has since been replaced.
            and not (asset in PER_DISPLAY and partition in stored.unsettled)
            and not stored.allows(asset, partition, known.get(asset, {}).get(partition, NOTHING))
        ]
        for asset, versions in stored.versions.items()
    }
    found = {asset for asset, partitions in differing.items() if partitions}
    displays = {name for asset in PER_DISPLAY for name in differing.get(asset, ())}
    displays |= _old_snapshots(stored)
    if displays:
        connections.settler.settle(displays)
    _sync_timelines(connections)
    if COUNTS in found:
        connections.settler.write_counts()
    if ADMIN in found:
        connections.settler.cache_overview()
    if ROLLOUTS in found:
        with connections.engine.begin() as connection:
            record_rollouts(connection)
    if found - {*PER_DISPLAY, COUNTS, ADMIN, ROLLOUTS}:
        record_counts(connections.engine)
    return found | {asset.name for asset in assets if _repeat_lost(connections, instance, asset)}


def _heads(connections: Connections) -> Heads:
    with connections.engine.connect() as connection:
        return heads(connection)


def _old_snapshots(stored: StoredLineage) -> set[str]:
    """Displays whose snapshot in Redis is missing, or of another plan than is active."""
    cached = stored.versions.get(TIMELINES, {})
    return {
        name
        for name, version in stored.versions["display_timelines"].items()
        if name in cached and cached[name] != version and name not in stored.unsettled
    }


def _sync_timelines(connections: Connections) -> None:
    """Plan some displays again whose timelines name earlier candidates than those of now."""
    with connections.engine.connect() as connection:
        unsynced = unsynced_displays(connection, _REST, _MOST_SYNCED)
    if unsynced:
        connections.settler.settle_quietly(unsynced, renews=True)


def _record_empty_days(
    connections: Connections, instance: dg.DagsterInstance, assets: Sequence[RecordedAsset]
) -> None:
    """Record days without posts as empty, so that they do not look like missing work.

    A count in progress may be the first of a day, and records it. It may also take minutes.
    """
    changes = [
        Change(asset.name, day, NOTHING)
        for asset in assets
        if asset.name in BY_DAY
        for day in asset.partition_keys(instance) or ()
    ]
    with connections.engine.begin() as connection:
        if not unrecorded(connection, changes):
            return
        if not keep_counting_away(connection):
            known = {day.isoformat() for day in known_days(connection)}
            changes = [change for change in changes if change.partition not in known]
        ensure_heads(connection, changes)


def _repeat_lost(
    connections: Connections, instance: dg.DagsterInstance, asset: RecordedAsset
) -> bool:
    """Repeat the records of partitions for which Dagster has another version than it was given."""
    keys = asset.partition_keys(instance)
    with connections.engine.connect() as connection:
        known = heads(connection, asset.name).get(asset.name, {})
        waiting = waiting_partitions(connection, asset.name)
    latest = latest_versions(
        instance, asset.name, observed=asset.is_observed, partitioned=keys is not None
    )
    lost = [
        partition
        for partition, version in known.items()
        if latest.get(partition) != version
        and partition not in waiting
        and (partition == WHOLE if keys is None else partition in keys)
    ]
    if lost:
        with connections.engine.begin() as connection:
            repeat_heads(connection, asset.name, lost)
    return bool(lost)
