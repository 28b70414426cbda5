"""The page of the figures: what its plots are made from, and where they have gaps."""

import re
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from sorafeed_assets.domain.plotting import HEIGHT, WIDTH
from sorafeed_assets.services.plots import plots_of
from sorafeed_assets.services.watching import sample_figures
from sorafeed_assets.storage.figures import MinuteFigures, read_minutes
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.serving.client import Api
from sorafeed_assets_tests.wall import add_display

_START = datetime(2026, 11, 25, 12, tzinfo=UTC)
_SECONDS = st.none() | st.floats(0, 1_000)
_COUNTS = st.none() | st.integers(0, 1_000_000)


def test_the_minutes_are_read_from_what_is_stored(engine: Engine) -> None:
    add_display(engine, "HALL01")
    run(
        engine,
        "INSERT INTO video_history (display_id, video_id, loop_iteration, played_at)"
        " SELECT 'HALL01', n::text, 0, date_trunc('minute', now()) - interval '90 seconds'"
        " FROM generate_series(1, 3) AS n",
    )
    run(
        engine,
        "INSERT INTO reactions (display_id, changed_at, queued_at, started_at)"
        " SELECT 'HALL01', at - interval '4 seconds', at, at"
        " FROM (SELECT date_trunc('minute', now()) - interval '90 seconds' AS at) AS moment",
    )
    sample_figures(engine, low=3)
    sample_figures(engine, low=3)
    run(engine, "UPDATE figures SET minute = minute - interval '2 minutes'")
    with engine.connect() as connection:
        minutes = read_minutes(connection, 5)
    assert len(minutes) == 5
    # A display that has nothing to play is not low.
    assert [tuple(minute[1:]) for minute in minutes[-3:]] == [
        (0, None, None, None, None),
        (3, 4.0, 4.0, 0, 0),
        (0, None, None, None, None),
    ]


@settings(deadline=None)
@given(
    st.lists(
        st.builds(
            MinuteFigures,
            st.just(_START),
            st.integers(0, 10_000),
            _SECONDS,
            _SECONDS,
            _COUNTS,
            _COUNTS,
        ),
        min_size=1,
        max_size=60,
    )
)
def test_every_value_is_inside_its_plot_and_gaps_stay_gaps(minutes: list[MinuteFigures]) -> None:
    minutes = [m._replace(minute=_START + timedelta(minutes=n)) for n, m in enumerate(minutes)]
    plots = plots_of(minutes)
    assert [plot.first for plot in plots] == ["12:00"] * 4
    for plot in plots:
        for line in plot.lines:
            for piece in line.pieces:
                points = [tuple(map(float, point.split(","))) for point in piece.split()]
                assert len(points) >= 2
                assert all(0 <= x <= WIDTH + 2 and 0 <= y <= HEIGHT for x, y in points)
    low = [m.low_queues for m in minutes]
    runs = sum(v is not None and (n == 0 or low[n - 1] is None) for n, v in enumerate(low))
    assert len(plots[2].lines[0].pieces) == runs


def test_a_reader_sees_the_plots(admin: Api, reader: Api, engine: Engine) -> None:
    sample_figures(engine, low=3)
    page = reader.http.get("/admin/figures")
    assert page.status_code == 200
    assert len(re.findall(r'<svg class="plot"', page.text)) == 7
    assert "From a change to the screen" in page.text
    assert "New posts of the largest searches by day" in page.text
    assert 'href="/admin/figures"' in reader.http.get("/admin").text
    # The policy allows no style in the markup.
    assert "style=" not in page.text
