"""Lineage changes of the counting assets: days, totals and pools.

Each function reads the stored state in the caller's transaction; the data versions are digests
kept by triggers, so that no function reads the counts themselves.
"""

from collections.abc import Collection
from datetime import date
from typing import Final

from sqlalchemy import Connection

from sorafeed_assets.storage.counts import daily
from sorafeed_assets.storage.counts import pools as stored_pools
from sorafeed_assets.storage.counts.totals import totals_version
from sorafeed_assets.storage.lineage_records import (
    BY_EVENT,
    NOTHING,
    WHOLE,
    Change,
    head_version,
)

POSTS: Final = "sora_posts"
DAILY: Final = "video_counts_daily"
TOTALS: Final = "video_counts_by_search"
POOLS: Final = "video_candidates"
TERMS: Final = "search_terms"


def counts_changes(connection: Connection, days: Collection[date] | None) -> list[Change]:
    """The counts of these days, or of all days that ever had posts, by day."""
    versions = daily.count_versions(connection, days)
    revisions = daily.day_revisions(connection, days)
    terms = head_version(connection, TERMS)
    return [
        Change(
            DAILY,
            day.isoformat(),
            versions[day][0] if day in versions else NOTHING,
            {POSTS: str(revisions.get(day, NOTHING)), TERMS: terms},
            {"dagster/partition_row_count": versions[day][1] if day in versions else 0},
        )
        for day in sorted({*versions, *revisions})
    ]


def posts_changes(connection: Connection, days: Collection[date] | None) -> list[Change]:
    """The posts of these days, or of all: how many changes each day has seen."""
    revisions = daily.day_revisions(connection, days)
    posts = daily.post_counts(connection)
    return [
        Change(
            POSTS,
            day.isoformat(),
            str(revision),
            metadata={"dagster/partition_row_count": posts.get(day, 0)},
        )
        for day, revision in sorted(revisions.items())
    ]


def pools_change(connection: Connection) -> Change:
    """The candidate pools as a whole."""
    pools, version, rows = stored_pools.pools_version(connection)
    return Change(
        POOLS,
        WHOLE,
        version,
        {POSTS: BY_EVENT, DAILY: BY_EVENT, TERMS: head_version(connection, TERMS)},
        {"dagster/row_count": rows, "pools": pools},
    )


def totals_change(connection: Connection) -> Change:
    """The view of totals."""
    rows, version, largest, without = totals_version(connection)
    return Change(
        TOTALS,
        WHOLE,
        version,
        {DAILY: BY_EVENT},
        {
            "dagster/row_count": rows,
            "largest_count": largest,
            "terms_without_match": without,
        },
    )
