"""The page Insights with an hour and a month of a wall that plays; docs/operating.md shows it."""

from typing import Final

from playwright.sync_api import Page, expect
from sqlalchemy import Engine

from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.serving.browsing import Site, needs_browser
from sorafeed_assets_tests.serving.client import Api
from sorafeed_assets_tests.walkthroughs.camera import Camera
from sorafeed_assets_tests.wall import add_display

pytestmark = needs_browser

_MINUTE: Final = "date_trunc('minute', now()) - make_interval(mins => n)"
_WALL: Final = f"""
INSERT INTO video_history (display_id, video_id, loop_iteration, played_at)
SELECT 'HALL01', 'v' || k, 0, {_MINUTE} + k * interval '1 second'
FROM generate_series(1, 60) AS n,
    LATERAL generate_series(1, CAST(38 + 12 * sin(n / 6.0) + mod(n, 3) AS integer)) AS k;
INSERT INTO reactions (display_id, changed_at, queued_at, started_at)
SELECT 'HALL01', at - (1.6 + sin(n / 9.0) * 0.5 + k * 0.4) * interval '1 second', at, at
FROM generate_series(1, 60) AS n, LATERAL (SELECT {_MINUTE} AS at) AS m, generate_series(1, 5) AS k;
INSERT INTO figures (minute, low_queues, lineage_waiting)
SELECT {_MINUTE}, abs(n - 40) / 12, mod(n * 13, 29) * mod(n, 4) FROM generate_series(1, 60) AS n;
INSERT INTO play_hours (hour, plays, skips, repeats)
SELECT date_trunc('hour', now()) - make_interval(hours => n),
    CAST(900 + 300 * sin(n / 50.0) AS integer), 20 + mod(n, 11), 150 - n / 6
FROM generate_series(0, 719) AS n;
CREATE TEMP TABLE sizes (term, size) ON COMMIT DROP AS VALUES
    ('movie trailer', 420), ('cooking show', 310), ('commercial', 250), ('news report', 160),
    ('nature documentary', 120);
INSERT INTO search_terms (term, phrase, counted_at) SELECT term, term, now() FROM sizes;
INSERT INTO video_counts_daily (catalog_day, term, format, count)
SELECT current_date - n, term, 'mixed', CAST(size * (1 + 0.25 * sin(n / 3.0 + size)) AS integer)
FROM generate_series(0, 29) AS n, sizes;
REFRESH MATERIALIZED VIEW video_counts_by_search;
"""


def test_every_plot_of_a_wall_that_plays_has_lines(
    page: Page, settings: Settings, engine: Engine, camera: Camera
) -> None:
    add_display(engine, "HALL01")
    with engine.begin() as connection:
        connection.exec_driver_sql(_WALL)
    page.set_viewport_size({"width": 1280, "height": 1220})
    with serving(settings, Listening(free_port())) as url:
        Site(url, engine, Api(url, None)).enter(page, "figures")
        plots = page.locator("figure")
        expect(plots).to_have_count(7)
        for number in range(7):
            names = plots.nth(number).locator(".key")
            expect(plots.nth(number).locator("polyline:not(.so-far)")).to_have_count(names.count())
            expect(plots.nth(number)).not_to_contain_text("no data")
            assert names.count()
        camera.take(page, "figures")
