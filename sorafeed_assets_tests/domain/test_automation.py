"""What sensors and schedules decide."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorafeed_assets.domain.automation import (
    INSERTS_WORTH_A_REFRESH,
    PastRun,
    RunState,
    days_outside,
    days_to_count,
    partition_change,
    reason_to_wait,
    refresh_is_due,
    rotating_sample,
)

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def test_a_new_term_asks_for_all_known_days_and_days_outside_go_along() -> None:
    dirty, known = [date(2030, 1, 1), date(2026, 1, 9)], [date(2026, 1, 2), date(2025, 1, 1)]
    first, last = date(2026, 1, 1), date(2026, 1, 31)
    assert days_to_count([], known, 0, first=first, last=last) == []
    assert days_to_count(dirty, known, 0, first=first, last=last) == [date(2026, 1, 9), last]
    assert days_to_count(dirty, known, 1, first=first, last=last) == [
        first,
        date(2026, 1, 2),
        date(2026, 1, 9),
        last,
    ]
    outside = [date(2025, 1, 1), date(2030, 1, 1)]
    assert days_outside([*dirty, *known], first=first, last=last) == outside
    assert days_outside([first, last], first=first, last=last) == []


@given(st.sets(st.text(max_size=2)), st.sets(st.text(max_size=2)))
def test_partition_change_leads_to_the_wanted_ones(existing: set[str], wanted: set[str]) -> None:
    change = partition_change(existing, wanted)
    assert (existing - set(change.removed)) | set(change.added) == wanted
    assert bool(change) == (existing != wanted)


@pytest.mark.parametrize(
    ("inserts", "edits", "uncounted", "is_due"),
    [
        (0, 0, 0, False),
        (INSERTS_WORTH_A_REFRESH - 1, 0, 0, False),
        (INSERTS_WORTH_A_REFRESH, 0, 0, True),
        (0, 1, 0, True),
        (0, 0, 1, True),
    ],
)
def test_refresh_is_due(inserts: int, edits: int, uncounted: int, is_due: bool) -> None:  # noqa: FBT001  # a table
    assert refresh_is_due(inserts=inserts, edits=edits, uncounted_terms=uncounted) is is_due


def _failed(minutes_ago: float, request: str = "a") -> PastRun:
    return PastRun(request, RunState.FAILED, NOW - timedelta(minutes=minutes_ago))


@pytest.mark.parametrize(
    ("runs", "waits"),
    [
        ([], None),
        ([PastRun("b", RunState.ACTIVE)], "in progress"),
        ([PastRun("a", RunState.SUCCEEDED, NOW)], "nothing changed"),
        ([PastRun("b", RunState.SUCCEEDED, NOW), PastRun("a", RunState.SUCCEEDED, NOW)], None),
        ([_failed(0.2)], "failed"),
        ([_failed(0.6)], None),
        ([_failed(0.6), _failed(2)], "failed"),
        ([_failed(61), *[_failed(100)] * 11], None),
        ([_failed(59), *[_failed(100)] * 11], "failed"),
        ([_failed(0.2, "b"), *[_failed(1, "b")] * 11], "failed"),
        ([_failed(0.6, "b"), *[_failed(1, "b")] * 11], None),
    ],
)
def test_waiting(runs: list[PastRun], waits: str | None) -> None:
    reason = reason_to_wait("a", runs, NOW)
    assert (reason is None) if waits is None else (reason is not None and waits in reason)


def test_what_may_come_again_is_asked_for_again() -> None:
    runs, minute = [PastRun("a", RunState.SUCCEEDED, NOW)], timedelta(minutes=1)
    assert reason_to_wait("a", runs, NOW + minute / 2, again_after=minute) is not None
    assert reason_to_wait("a", runs, NOW + minute, again_after=minute) is None


@given(st.lists(st.text(min_size=1, max_size=3), unique=True, min_size=1), st.integers(1, 5))
def test_the_sample_comes_round_to_everything(values: list[str], size: int) -> None:
    samples = [rotating_sample(values, seed=seed, size=size) for seed in range(len(values))]
    assert {value for sample in samples for value in sample} == set(values)
    assert all(len(set(sample)) == min(size, len(values)) for sample in samples)
