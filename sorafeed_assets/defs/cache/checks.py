"""Checks of the caches: they equal what Postgres holds, and every key expires."""

from collections.abc import Sequence
from typing import Final

import dagster as dg

from sorafeed_assets.defs.checking import Check, DisplayCheck, Problems
from sorafeed_assets.defs.common import check_result
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.services.cache.write import check_count_cache, check_timeline_cache
from sorafeed_assets.services.counts.reads import term_totals


def _count_cache_equals_view(connections: Connections) -> dg.AssetCheckResult:
    problems = check_count_cache(
        connections.engine, connections.redis, ttl=connections.settings.cache_ttl_seconds
    )
    return check_result(problems, len(term_totals(connections.engine)))


def _timeline_cache_equals_queue(connections: Connections, displays: Sequence[str]) -> Problems:
    return check_timeline_cache(connections.engine, connections.redis, displays)


CHECKS: Final = (
    Check(
        "count_cache",
        "count_cache_equals_view",
        "Every total of the view is cached unchanged, and expires within the configured lifetime.",
        _count_cache_equals_view,
    ),
    DisplayCheck(
        "timeline_cache",
        "timeline_cache_equals_queue",
        "Every display's snapshot equals its queue in Postgres, and expires.",
        _timeline_cache_equals_queue,
    ),
)
