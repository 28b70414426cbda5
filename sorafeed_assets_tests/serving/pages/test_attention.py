"""How bad a display's state is, what its card says, and in which order cards are."""

import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from sorafeed_assets.services.attention import Known, Severity
from sorafeed_assets.services.queries import Queries
from sorafeed_assets.services.records import DisplayRecord
from sorafeed_assets.services.timelines.driving import Driver
from sorafeed_assets.serving.pages.views import Card, card
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.serving.client import Api, make_display, newest
from sorafeed_assets_tests.wall import add_display, add_posts

LONG_AGO = datetime(2026, 3, 1, tzinfo=UTC)
PLAYING: dict[str, Any] = {
    "active_playlist_id": "7b0c1f0e-0000-0000-0000-000000000000",
    "active_playlist": "Evening",
    "queued": 5,
    "status": "online",
    "last_ping": LONG_AGO,
}


@pytest.fixture
def record(engine: Engine) -> DisplayRecord:
    """A display that plays, and whose player is there."""
    add_display(engine, "AAAAAA")
    return Queries(engine).displays()["AAAAAA"]._replace(**PLAYING)


def _card(record: DisplayRecord, known: Known | None = None, **changed: Any) -> Card:
    return card(record._replace(**changed), known or Known(), 5)


def test_a_display_that_plays_needs_no_attention(record: DisplayRecord) -> None:
    shown = _card(record)
    assert (shown.severity, shown.problems) == (Severity.NONE, ())


@pytest.mark.parametrize(
    ("severity", "changed"),
    [
        (Severity.BROKEN, {"plan_problem": "blocks: is empty"}),
        (Severity.BROKEN, {"queued": 0}),
        (Severity.BROKEN, {"known": Known(failures=3)}),
        (Severity.DEGRADED, {"known": Known(failures=1)}),
        (Severity.DEGRADED, {"known": Known(is_stale=True)}),
        (Severity.DEGRADED, {"known": Known(is_behind=True)}),
        (Severity.DEGRADED, {"known": Known(repeated=["cat"])}),
        (Severity.DEGRADED, {"queued": 2}),
        (Severity.DEGRADED, {"dry_searches": ["unicorn"]}),
        (Severity.DEGRADED, {"active_playlist_id": None}),
        (Severity.OFFLINE, {"status": "offline"}),
        # It was never there, or it was stopped.
        (Severity.NONE, {"status": "offline", "last_ping": None}),
        (Severity.NONE, {"status": "offline", "playback_state": "idle"}),
    ],
)
def test_how_bad_it_is(record: DisplayRecord, severity: Severity, changed: dict[str, Any]) -> None:
    shown = _card(record, **changed)
    assert shown.severity is severity
    assert bool(shown.problems) == (severity < Severity.OFFLINE)
    assert (shown.offline_since is not None) == (severity is Severity.OFFLINE)


def test_the_worst_problem_is_the_first(record: DisplayRecord) -> None:
    shown = _card(record, Known(failures=4), dry_searches=["unicorn"])
    assert shown.problems == (
        "Its player could not show 4 videos in the last hour.",
        "No post matches “unicorn”: its block is left out.",
    )


def test_what_the_old_system_drives_is_its_concern(record: DisplayRecord) -> None:
    away = record._replace(status="offline", queued=0)
    shown = card(away, Known(is_stale=True, failures=9, driver=Driver.OLD), 5)
    assert (shown.severity, shown.problems, shown.offline_since) == (Severity.NONE, (), None)


def test_the_overview_has_the_worst_first(admin: Api, engine: Engine) -> None:
    add_posts(engine, "cat", 12)
    make_display(admin, "AFINE1", newest("cat", 3))
    make_display(admin, "BDRY01", newest("cat", 3), newest("unicorn", 1))
    make_display(admin, "CBROKE", newest("unicorn", 1))
    make_display(admin, "DGONE1", newest("cat", 3), name="Late show")
    run(
        engine,
        "UPDATE displays SET last_ping = :at WHERE id = 'DGONE1'",
        at=datetime.now(UTC) - timedelta(hours=3),
    )
    admin.ask('mutation { renameDisplay(id: "AFINE1", name: "Hall") { problem } }')
    page = admin.http.get("/admin").text
    assert re.findall(r'data-code="(\w+)"', page) == ["CBROKE", "BDRY01", "DGONE1", "AFINE1"]
    assert '<b data-sum="troubled">3</b> need attention' in page
    gone = html.unescape(page.partition('id="display-DGONE1"')[2].partition("</li>")[0])
    assert "Offline, last seen <time" in gone
    assert 'data-find="display dgone1 dgone1 late show"' in gone


def test_failed_videos_are_told(admin: Api, engine: Engine) -> None:
    add_posts(engine, "cat", 12)
    make_display(admin, "FAIL01", newest("cat", 3))
    run(
        engine,
        "INSERT INTO play_failures (timeline_video_id, display_id, failed_at)"
        " SELECT uuidv7(), 'FAIL01', now() - n * interval '40 min' FROM generate_series(0, 4) n",
    )
    page = admin.http.get("/admin/displays/FAIL01").text
    assert "Its player could not show 2 videos in the last hour." in page
    assert "No player" in page
