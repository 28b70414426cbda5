"""Lineage changes of the caches, and the data versions that Redis holds."""

import json
from collections.abc import Collection, Mapping
from typing import Any, Final

from redis import Redis
from sqlalchemy import Connection

from sorafeed_assets.domain.digest import content_digest
from sorafeed_assets.storage.cache.redis import (
    ADMIN_KEY,
    COUNT_KEYS,
    matching_keys,
    read_values,
    timeline_key,
)
from sorafeed_assets.storage.cache.snapshots import TimelineSnapshot
from sorafeed_assets.storage.lineage_records import (
    BY_EVENT,
    NOTHING,
    WHOLE,
    Change,
    head_version,
)

COUNTS: Final = "count_cache"
TIMELINES: Final = "timeline_cache"
ADMIN: Final = "admin_snapshot"


def counts_change(connection: Connection, values: Mapping[str, str]) -> Change:
    """The lineage change of the totals in Redis; ``values`` by key."""
    return Change(
        COUNTS,
        WHOLE,
        counts_version(values),
        {"video_counts_by_search": head_version(connection, "video_counts_by_search")},
        {"dagster/row_count": len(values)},
    )


def counts_version(values: Mapping[str, str]) -> str:
    """The data version of totals by key."""
    return content_digest(dict(values))


def timeline_changes(snapshots: Mapping[str, TimelineSnapshot]) -> list[Change]:
    """The lineage changes of snapshots whose plan differs from the last record."""
    return [
        Change(
            TIMELINES,
            display_id,
            value["version"],
            {"display_timelines": value["version"]},
            {
                "dagster/partition_row_count": len(value["videos"]),
                "build": str(value["build"] or NOTHING),
            },
        )
        for display_id, (value, recorded) in snapshots.items()
        if recorded != value["version"]
    ]


def admin_change(connection: Connection, value: str, snapshot: Mapping[str, Any]) -> Change:
    """The lineage change of the admin snapshot, given as JSON and as an object."""
    return Change(
        ADMIN,
        WHOLE,
        admin_version(value),
        {
            "video_counts_by_search": head_version(connection, "video_counts_by_search"),
            "display_timelines": BY_EVENT,
        },
        {"displays": len(snapshot["displays"]), **snapshot["totals"]},
    )


def admin_version(value: str) -> str:
    """The data version of the admin snapshot's JSON."""
    return content_digest(value)


def cached_totals(redis: Redis) -> dict[str, str]:
    """The data version of the totals that Redis holds."""
    return {WHOLE: counts_version(read_values(redis, sorted(matching_keys(redis, COUNT_KEYS))))}


def cached_timelines(redis: Redis, display_ids: Collection[str]) -> dict[str, str]:
    """Display → the data version of the snapshot that Redis holds.

    A snapshot that Redis has lost, or that another program wrote, has the version ``none``.
    """
    ordered = sorted(display_ids)
    found = read_values(redis, [timeline_key(name) for name in ordered])
    return {name: _version_in(found.get(timeline_key(name))) for name in ordered}


def cached_overview(redis: Redis) -> dict[str, str]:
    """The data version of the admin snapshot that Redis holds, or ``none``."""
    found = read_values(redis, [ADMIN_KEY]).get(ADMIN_KEY)
    return {WHOLE: NOTHING if found is None else admin_version(found)}


def _version_in(snapshot: str | None) -> str:
    try:
        found = json.loads(snapshot or "null")
    except ValueError:
        return NOTHING
    return str(found.get("version", NOTHING)) if isinstance(found, dict) else NOTHING
