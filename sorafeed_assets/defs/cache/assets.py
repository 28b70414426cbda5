"""Count cache, timeline cache and admin snapshot."""

from collections.abc import Iterator
from typing import Final

import dagster as dg
from dagster import AutomationCondition

from sorafeed_assets.defs.common import (
    CODE_VERSION,
    DISPLAYS,
    HOURLY,
    OWNERS,
    RETRIES,
    DisplaysConfig,
    columns_metadata,
    plain_failures,
)
from sorafeed_assets.defs.recording import is_by_hand, record_step
from sorafeed_assets.defs.resources import Connections

# The overview may be some minutes old: pages read what changes often from Postgres.
_EVERY_FIVE_MINUTES: Final = (
    AutomationCondition.any_deps_updated().since_last_handled()
    & AutomationCondition.cron_tick_passed("*/5 * * * *")
    & ~AutomationCondition.in_progress()
)


@dg.asset(
    deps=["video_counts_by_search"],
    group_name="cache",
    owners=OWNERS,
    kinds={"redis"},
    code_version=CODE_VERSION,
    retry_policy=RETRIES,
    freshness_policy=HOURLY,
    metadata=columns_metadata(
        "redis.sorafeed:count",
        {
            "key": ("string", "sorafeed:count:{search_term}:{format}"),
            "value": ("integer", "how many posts match"),
        },
    ),
)
def count_cache(
    context: dg.AssetExecutionContext, connections: dg.ResourceParam[Connections]
) -> Iterator[dg.MaterializeResult[None]]:
    """The totals in Redis, replaced in one transaction; they expire after 24 hours."""
    with plain_failures():
        connections.settler.cache_counts()
        yield from record_step(context, connections, every=True)


@dg.asset(
    deps=["display_timelines"],
    partitions_def=DISPLAYS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    group_name="cache",
    owners=OWNERS,
    kinds={"redis"},
    code_version=CODE_VERSION,
    retry_policy=RETRIES,
    metadata=columns_metadata(
        "redis.sorafeed:timeline",
        {
            "key": ("string", "sorafeed:timeline:{display}"),
            "value": ("json", "the build, its version, the position, and the videos queued"),
        },
    ),
)
def timeline_cache(
    context: dg.AssetExecutionContext,
    config: DisplaysConfig,
    connections: dg.ResourceParam[Connections],
) -> Iterator[dg.MaterializeResult[None]]:
    """What a display plays next, in Redis; it expires after 24 hours."""
    with plain_failures():
        displays = config.asked(context, connections)
        connections.settler.cache_timelines(displays)
        every = not config.displays and is_by_hand(context)
        yield from record_step(context, connections, displays, every=every)


@dg.asset(
    deps=["video_counts_by_search", "display_timelines"],
    group_name="cache",
    owners=OWNERS,
    kinds={"redis"},
    code_version=CODE_VERSION,
    retry_policy=RETRIES,
    freshness_policy=HOURLY,
    automation_condition=_EVERY_FIVE_MINUTES,
    metadata=columns_metadata(
        "redis.sorafeed:admin",
        {
            "key": ("string", "sorafeed:admin:snapshot"),
            "value": ("json", "all displays, totals and counts"),
        },
    ),
)
def admin_snapshot(
    context: dg.AssetExecutionContext, connections: dg.ResourceParam[Connections]
) -> Iterator[dg.MaterializeResult[None]]:
    """A summary of all displays and counts, in one value.

    An automation condition writes it after changes, at most every five minutes.
    """
    with plain_failures():
        connections.settler.cache_overview()
        yield from record_step(context, connections, every=True)
