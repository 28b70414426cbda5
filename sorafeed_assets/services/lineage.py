"""The stored data version of every asset's partitions, for comparing and repairing lineage."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, NamedTuple

from redis import Redis
from sqlalchemy import Connection, Engine

from sorafeed_assets.domain.errors import UnavailableError
from sorafeed_assets.services.cache import lineage as cache
from sorafeed_assets.services.counts import lineage as counts
from sorafeed_assets.services.counts.terms import terms_change
from sorafeed_assets.services.playlists.activation import active_versions
from sorafeed_assets.services.rollouts.rollouts import ASSET as ROLLOUTS
from sorafeed_assets.services.rollouts.rollouts import rollout_versions
from sorafeed_assets.services.settle import PER_DISPLAY
from sorafeed_assets.storage.cache.redis import redis_errors
from sorafeed_assets.storage.counts.daily import applied_revisions
from sorafeed_assets.storage.lineage_records import (
    NOTHING,
    Change,
    waiting_assets,
    waiting_partitions,
)
from sorafeed_assets.storage.playlists.changes import changed_displays
from sorafeed_assets.storage.playlists.rows import display_ids
from sorafeed_assets.storage.postgres.engine import snapshot
from sorafeed_assets.storage.timelines.queues import built_versions

POSTS: Final = "sora_posts"
COMPARED: Final = frozenset(
    {
        *(POSTS, counts.DAILY, counts.POOLS, counts.TOTALS, counts.TERMS),
        *("playlists", "active_playlists", "display_timelines"),
        *(cache.COUNTS, cache.TIMELINES, cache.ADMIN, ROLLOUTS),
    }
)
"""The assets whose versions are read from what they hold; others have only their records."""


@dataclass(frozen=True, slots=True)
class StoredLineage:
    """Asset → partition → data version, and what still has to be settled or recorded.

    Attributes:
        versions: the stored versions; a missing partition holds nothing.
        waiting: partitions with a waiting lineage record.
        unsettled: displays that wait to be settled.
        applied: catalog day → the version that counting has applied. The stored version includes
            changes that wait in the outbox; an observation may still have the applied one.
    """

    versions: Mapping[str, Mapping[str, str]]
    waiting: Mapping[str, frozenset[str]]
    unsettled: frozenset[str]
    applied: Mapping[str, str]

    def is_waiting(self, asset: str, partition: str) -> bool:
        """Whether a change of the partition still has to be settled or recorded."""
        is_unsettled = asset in PER_DISPLAY and partition in self.unsettled
        return is_unsettled or partition in self.waiting.get(asset, frozenset())

    def allows(self, asset: str, partition: str, recorded: str) -> bool:
        """Whether a recorded version counts as the stored one."""
        version = self.versions[asset].get(partition, NOTHING)
        if asset != POSTS or recorded == version:
            return recorded == version
        applied = self.applied.get(partition, "0")
        is_number = recorded.isdecimal() and version.isdecimal()
        if recorded == NOTHING:
            return applied == "0"
        return is_number and int(applied) <= int(recorded) <= int(version)


class Only(NamedTuple):
    """One asset, with some or all of its partitions."""

    asset: str
    partitions: Collection[str] | None = None


def read_stored(engine: Engine, redis: Redis | None, only: Only | None = None) -> StoredLineage:
    """Read the versions of every asset at one moment; without Redis the caches are left out.

    With ``only``, reads only that asset.
    """
    with snapshot(engine) as connection:
        versions = _database_versions(connection, only)
        waiting = {
            asset: frozenset(waiting_partitions(connection, asset))
            for asset in ([only.asset] if only else waiting_assets(connection))
        }
        unsettled = frozenset(changed_displays(connection))
        applied = {
            day.isoformat(): str(number) for day, number in applied_revisions(connection).items()
        }
        if redis is not None:
            try:
                with redis_errors(redis):
                    versions |= _cached_versions(connection, redis, only)
            except UnavailableError:
                pass
    return StoredLineage(versions, waiting, unsettled, applied)


def _database_versions(connection: Connection, only: Only | None) -> dict[str, dict[str, str]]:
    partitions = only.partitions if only else None

    def days() -> list[date] | None:
        return None if partitions is None else [date.fromisoformat(day) for day in partitions]

    readers: dict[str, Callable[[], Iterable[Change]]] = {
        POSTS: lambda: counts.posts_changes(connection, days()),
        counts.DAILY: lambda: counts.counts_changes(connection, days()),
        counts.POOLS: lambda: [counts.pools_change(connection)],
        counts.TOTALS: lambda: [counts.totals_change(connection)],
        counts.TERMS: lambda: [terms_change(connection)],
    }
    versions = {
        asset: {change.partition: change.data_version for change in read()}
        for asset, read in readers.items()
        if only is None or only.asset == asset
    }
    if only is None or only.asset in {"playlists", "active_playlists"}:
        active = active_versions(connection, partitions)
        versions |= {"playlists": active, "active_playlists": active}
    if only is None or only.asset == "display_timelines":
        versions["display_timelines"] = built_versions(connection, partitions)
    if only is None or only.asset == ROLLOUTS:
        versions[ROLLOUTS] = rollout_versions(connection, partitions)
    return versions


def _cached_versions(
    connection: Connection, redis: Redis, only: Only | None
) -> dict[str, dict[str, str]]:
    readers: dict[str, Callable[[], dict[str, str]]] = {
        cache.COUNTS: lambda: cache.cached_totals(redis),
        cache.TIMELINES: lambda: cache.cached_timelines(
            redis, display_ids(connection, only.partitions if only else None)
        ),
        cache.ADMIN: lambda: cache.cached_overview(redis),
    }
    return {asset: read() for asset, read in readers.items() if only is None or only.asset == asset}
