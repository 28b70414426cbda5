"""Plays by hour equal a direct count, however late they were reported; plots by day read them."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from sorafeed_assets.services.counts.refresh import refresh_days
from sorafeed_assets.services.counts.totals import refresh_totals
from sorafeed_assets.services.plots import DAYS, counts_plot, day_plots, plays_plots
from sorafeed_assets.services.watching import hour_to_count
from sorafeed_assets.storage.timelines.play_hours import (
    RECOUNTED_HOURS,
    PlayDay,
    count_hour,
    read_days,
)
from sorafeed_assets_tests.catalogue import add_display, run
from sorafeed_assets_tests.wall import START, add_playlist, add_posts

_FIRST = datetime(2026, 11, 20, 22, tzinfo=UTC)
_HOURS = 5
_CODES = ("AAAAA1", "BBBBB2")
_PLAYS = st.lists(
    st.tuples(
        st.sampled_from(_CODES),
        st.sampled_from("abc"),
        st.integers(0, _HOURS * 3600 - 1),
        st.booleans(),
    ),
    unique_by=lambda play: (play[0], play[2]),
    max_size=25,
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(now=_PLAYS, late=_PLAYS)
def test_hours_equal_a_direct_count(engine: Engine, now: list[Any], late: list[Any]) -> None:
    run(engine, "TRUNCATE video_history, play_hours")
    run(engine, "DELETE FROM displays")
    for code in _CODES:
        add_display(engine, code)
    seen = {(play[0], play[2]) for play in now}
    late = [play for play in late if (play[0], play[2]) not in seen]
    for plays in (now, late):
        _play(engine, plays)
        with engine.begin() as connection:
            for hour in range(_HOURS):
                count_hour(connection, _FIRST + timedelta(hours=hour))
    # A display that is deleted later takes nothing away.
    run(engine, "DELETE FROM displays WHERE id = 'AAAAA1'")
    with engine.begin() as connection:
        count_hour(connection, _FIRST)
        found = read_days(connection, date(2026, 11, 21), 3)
    assert found == [
        PlayDay(date(2026, 11, 19), None, None, None),
        *(_expected([*now, *late], day) for day in (date(2026, 11, 20), date(2026, 11, 21))),
    ]


def _play(engine: Engine, plays: Sequence[Any]) -> None:
    for code, video, second, was_skipped in plays:
        run(
            engine,
            "INSERT INTO video_history (display_id, video_id, loop_iteration, played_at,"
            " was_skipped) VALUES (:code, :video, 0, :at, :was_skipped)",
            code=code,
            video=video,
            at=_FIRST + timedelta(seconds=second),
            was_skipped=was_skipped,
        )


def _expected(plays: Sequence[Any], day: date) -> PlayDay:
    of_day = [p for p in plays if (_FIRST + timedelta(seconds=p[2])).date() == day]
    repeats = [p for p in of_day if any(e[:2] == p[:2] and e[2] < p[2] for e in plays)]
    return PlayDay(day, len(of_day), sum(p[3] for p in of_day), len(repeats))


def test_every_hour_of_two_days_is_counted_again_within_the_hour() -> None:
    now = datetime(2026, 11, 25, 10, 59, 30, tzinfo=UTC)
    counted = {
        now.replace(minute=0, second=0) - hour_to_count(now + timedelta(minutes=n))
        for n in range(-59, 1)
    }
    expected = {timedelta(hours=hour) for hour in range(RECOUNTED_HOURS + 1)}
    assert timedelta(0) in counted
    assert counted <= expected
    # What one hour leaves out the next ones count.
    later = {
        (moment := now + timedelta(minutes=n)).replace(minute=0, second=0) - hour_to_count(moment)
        for n in range(600)
    }
    assert later == expected


def test_the_largest_searches_are_plotted_by_day(engine: Engine) -> None:
    add_display(engine, "AAAAA1")
    add_playlist(engine, "AAAAA1", [("cat video", 3), ("video", 3)])
    add_posts(engine, "cat video", 4, day=0)
    add_posts(engine, "dog video", 2, day=2)
    run(engine, "INSERT INTO search_terms (term, phrase) VALUES ('cat video', 'cat video'),"
                " ('video', 'video') ON CONFLICT DO NOTHING")  # fmt: skip
    refresh_days(engine, None, pool_size=10)
    refresh_totals(engine)
    today = START.date() + timedelta(days=3)
    with engine.connect() as connection:
        drawn = counts_plot(connection, today)
        plots = day_plots(connection, today)
    assert [line.name for line in drawn.lines] == ["video", "cat video"]
    assert [line.last for line in drawn.lines] == ["0", "0"]
    assert drawn.top == "5"
    assert (drawn.first, drawn.last) == (f"{today - timedelta(days=DAYS - 1)}", f"{today}, so far")
    assert [plot.title for plot in plots] == [
        "New posts of the largest searches by day",
        "Plays by day",
        "Share of plays by day",
    ]


def test_a_day_without_plays_has_no_share() -> None:
    first, second = (PlayDay(date(2026, 11, day), *plays) for day, plays in
                     ((1, (0, 0, 0)), (2, (8, 2, 4))))  # fmt: skip
    plays, share = plays_plots([first, second])
    assert [line.last for line in plays.lines] == ["8"]
    assert {line.name: line.last for line in share.lines} == {"repeats": "50", "skipped": "25"}
    assert len(share.lines[0].pieces) == 1
