"""Before and after: medians, 95th percentiles, and the wait of the old admin page."""

import math

import pytest

from sorafeed_assets.domain.shadow.costs import before_after, page_seconds


def test_before_and_after() -> None:
    found = before_after([(float(n), n / 100) for n in range(1, 101)])
    assert found is not None
    assert (found.before_median, found.before_p95) == (50, 95)
    assert (found.after_median, found.after_p95) == (0.5, 0.95)
    assert found.ratio == pytest.approx(100)
    assert before_after([]) is None
    free = before_after([(1.0, 0.0)])
    assert free is not None
    assert free.ratio == math.inf


@pytest.mark.parametrize(
    ("counts", "seconds"),
    [([], 0), ([3], 3), ([3, 1, 1], 3), ([1, 1, 1], 2), ([2, 2, 2, 2], 4)],
)
def test_two_counts_run_at_a_time(counts: list[float], seconds: float) -> None:
    assert page_seconds(counts) == seconds
