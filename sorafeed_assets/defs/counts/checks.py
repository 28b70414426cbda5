"""Checks of counts and candidate pools: compared with direct queries on a rotating sample."""

from datetime import UTC, datetime
from typing import Final

import dagster as dg

from sorafeed_assets.defs.checking import Check
from sorafeed_assets.defs.common import check_result
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.services.counts.pools import sample_pools
from sorafeed_assets.services.counts.reads import sample_recount, stale_counts, term_totals
from sorafeed_assets.services.counts.totals import contradicting_totals, totals_are_behind

_SAMPLE: Final = 5
_OLDEST_HOURS: Final = 3


def _seed() -> int:
    """The seed of the sample: another one each hour."""
    return int(datetime.now(UTC).timestamp() // 3600)


def _counts_equal_recount(connections: Connections) -> dg.AssetCheckResult:
    samples = sample_recount(connections.engine, seed=_seed(), size=_SAMPLE)
    behind = [
        "the view does not equal the sums of the daily counts; materialize video_counts_by_search"
    ]
    return check_result(
        [
            *(behind if totals_are_behind(connections.engine) else []),
            *(
                f"{sample.term} ({sample.format}): stored {sample.stored},"
                f" recounted {sample.recounted}"
                for sample in samples
                if sample.stored != sample.recounted
            ),
        ],
        len(samples),
    )


def _shapes_within_all(connections: Connections) -> dg.AssetCheckResult:
    problems = contradicting_totals(connections.engine)
    return check_result(problems, len({term for term, _ in term_totals(connections.engine)}))


def _counts_are_fresh(connections: Connections) -> dg.AssetCheckResult:
    problems = stale_counts(connections.engine, older_than_hours=_OLDEST_HOURS)
    return check_result(problems, len(problems), severity=dg.AssetCheckSeverity.WARN)


def _pools_equal_brute_force(connections: Connections) -> dg.AssetCheckResult:
    samples = sample_pools(
        connections.engine,
        seed=_seed(),
        size=_SAMPLE,
        pool_size=connections.settings.candidates_per_pool,
    )
    return check_result(
        [
            f"{sample.term} ({sample.size_class}, {sample.pool}): differs from a direct query"
            for sample in samples
            if not sample.is_equal
        ],
        len(samples),
    )


CHECKS: Final = (
    Check(
        "video_counts_by_search",
        "counts_equal_recount",
        "A direct ILIKE recount of a rotating sample equals the stored totals."
        " Where it does not, materialize video_counts_daily with `recount: true`.",
        _counts_equal_recount,
        blocking=True,
    ),
    Check(
        "video_counts_by_search",
        "wide_and_tall_within_mixed",
        "A term's wide and tall posts together never exceed all its posts.",
        _shapes_within_all,
        blocking=True,
    ),
    Check(
        "video_counts_by_search",
        "counts_are_fresh",
        "No change of the catalogue has waited for hours, and no term lacks its count.",
        _counts_are_fresh,
    ),
    Check(
        "video_candidates",
        "pools_equal_brute_force",
        "A rotating sample of pools equals what a direct query picks.",
        _pools_equal_brute_force,
    ),
)
