"""Clock times of a plan: without gaps, by known durations, over switches."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from sorafeed_assets.domain.timelines.guide import (
    DEFAULT_DURATION,
    GuidePick,
    PlaylistSpan,
    build_guide,
    mean_duration,
)

_NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
_BASE, _LUNCH = UUID(int=1), UUID(int=2)
_SECOND = timedelta(seconds=1)
_PICKS = [GuidePick(0, n, f"p{n}", "cat") for n in range(6)]


def _span(start: float, end: float, playlist_id: UUID) -> PlaylistSpan:
    return PlaylistSpan(_NOW + start * _SECOND, _NOW + end * _SECOND, playlist_id)


def test_times_follow_from_durations_until_one_is_unknown() -> None:
    told = {"p0": 8_000, "p1": 12_500, "p3": 5_000}
    began = _NOW - 3 * _SECOND
    found = build_guide(_PICKS, [_span(0, 60, _BASE)], told, 10 * _SECOND, began)
    starts = [(entry.start - _NOW).total_seconds() for entry in found]
    assert starts == [-3, 5, 17.5, 27.5, 32.5, 42.5, 52.5]
    assert [entry.is_estimated for entry in found] == [False, False, *[True] * 5]
    assert found[-1].pick is None  # the plan ends before the guide does
    assert found[-1].end == _NOW + 60 * _SECOND


def test_after_a_switch_only_the_playlist_is_known_and_the_video_on_screen_ends_first() -> None:
    spans = [_span(0, 15, _BASE), _span(15, 30, _LUNCH), _span(30, 90, _BASE)]
    found = build_guide(_PICKS, spans, {}, 10 * _SECOND, _NOW)
    shown = [((e.start - _NOW).total_seconds(), e.playlist_id, e.pick is None) for e in found]
    assert shown == [(0, _BASE, False), (10, _BASE, False), (20, _LUNCH, True), (30, _BASE, True)]


def test_a_video_that_should_have_ended_goes_on_for_a_moment() -> None:
    began = _NOW - 600 * _SECOND
    found = build_guide(_PICKS[:2], [_span(0, 5, _BASE)], {"p0": 4_000}, _SECOND, began)
    assert (found[0].start, found[0].end) == (began, _NOW + _SECOND)


@given(
    st.lists(st.integers(100, 60_000) | st.none(), max_size=6),
    st.lists(st.integers(1, 50), min_size=1, max_size=4),
    st.none() | st.integers(0, 100),
)
def test_entries_follow_each_other_without_gaps(
    durations: list[int | None], lengths: list[int], ago: int | None
) -> None:
    told = {f"p{n}": told for n, told in enumerate(durations) if told is not None}
    spans: list[PlaylistSpan] = []
    at = 0
    for number, length in enumerate(lengths):
        spans.append(_span(at, at + length, (_BASE, _LUNCH)[number % 2]))
        at += length
    began = None if ago is None else _NOW - ago * _SECOND
    found = build_guide(_PICKS[: len(durations)], spans, told, 7 * _SECOND, began)
    assert [entry.end for entry in found[:-1]] == [entry.start for entry in found[1:]]
    assert all(entry.start < entry.end for entry in found)
    assert found[-1].end >= spans[-1].end
    assert [e.is_estimated for e in found] == sorted(e.is_estimated for e in found)


def test_the_estimate_is_the_mean_of_what_is_known() -> None:
    assert mean_duration([4_000, 8_000], [1_000]) == 6 * _SECOND
    assert mean_duration([], [1_000, 2_001]) == timedelta(milliseconds=1_500)
    assert mean_duration([], []) == DEFAULT_DURATION
    assert build_guide(_PICKS, [], {}, _SECOND, None) == []
