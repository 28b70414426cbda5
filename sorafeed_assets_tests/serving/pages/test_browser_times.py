"""Times in a real browser: in the viewer's zone on every page, with the zone in the tooltip."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from sorafeed_assets.services.tokens import Role
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.serving.browsing import STEP, Site, add_demo_posts, needs_browser, until
from sorafeed_assets_tests.serving.client import make_display, newest, token_of

pytestmark = needs_browser

_TIMES = """
[...document.querySelectorAll("time[datetime]")].map(
  (time) => ({ at: time.dateTime, as: time.dataset.as, text: time.textContent, title: time.title })
)
"""


@pytest.fixture(scope="module")
def filled(site: Site) -> Site:
    """A display with a play, a time slot and a screen; a flag that was changed."""
    add_demo_posts(site.engine, "stork", 9)
    playlist = make_display(site.admin, "TIME01", newest("stork", 3))["playlist"]["id"]
    site.admin.ask(
        """
        mutation ($id: ID!) {
          replaceTimeSlots(playlistId: $id, slots: [
            { days: [MONDAY], starts: "10:00", ends: "18:00", timeZone: "Europe/Vienna" }
          ]) { display { id } }
        }
        """,
        id=playlist,
    )
    token_of(site.engine, Role.DISPLAY, "TIME01")
    run(
        site.engine,
        "INSERT INTO video_history (display_id, video_id, loop_iteration, played_at)"
        " VALUES ('TIME01', 'stork1', 0, now() - interval '5 days')",
    )
    site.admin.http.post(
        "/admin/flags",
        data={"flag": "planner", "value": "creator_gap", "why": "a test"},
        headers={"sec-fetch-site": "same-origin"},
    )
    return site


def test_every_page_shows_the_viewers_time(browser: Browser, filled: Site) -> None:
    context = browser.new_context(timezone_id="Asia/Kathmandu", locale="en-GB")
    context.set_default_timeout(STEP)
    page = context.new_page()
    filled.enter(page)
    for path in (
        "displays/TIME01",
        "displays/TIME01/timetable",
        "displays/TIME01/screens",
        "posts?words=stork",
        "flags",
        "figures",
    ):
        page.goto(f"{filled.url}/admin/{path}")
        until(page, "document.querySelector('time[datetime]')?.title.includes('GMT+5:45')")
        for time in page.evaluate(_TIMES):
            assert "GMT+5:45" in time["title"], (path, time)
            assert "UTC" not in time["text"], (path, time)
            _is_right(path, time)
    context.close()


def test_a_timetable_without_slots_is_in_the_viewers_zone(browser: Browser, filled: Site) -> None:
    make_display(filled.admin, "TIME02", newest("stork", 3))
    context = browser.new_context(timezone_id="Asia/Tokyo", locale="en-GB")
    context.set_default_timeout(STEP)
    page = context.new_page()
    filled.enter(page, "displays/TIME02/timetable")
    until(page, "document.querySelector('time[datetime]')?.title.includes('GMT+9')")
    [first, *_] = page.evaluate(_TIMES)
    at = datetime.fromisoformat(first["at"]).astimezone(UTC) + timedelta(hours=9)
    assert first["text"] == f"{at:%H:%M:%S}"
    expect(page.get_by_text("Times are in Asia/Tokyo.")).to_be_visible()
    zone = page.locator("#slot").get_by_label("Time zone")
    expect(zone).to_have_value("Asia/Tokyo")
    # What was entered is not replaced when it is refused.
    zone.fill("UTC")
    page.locator("#slot").get_by_label("From").fill("noon")
    page.locator("#slot").get_by_role("button", name="Add").click()
    expect(page.get_by_role("alert")).to_contain_text("From is 'noon'")
    until(page, "document.querySelector('time[datetime]')?.title.includes('GMT+9')")
    expect(zone).to_have_value("UTC")
    context.close()


def _is_right(path: str, time: dict[str, Any]) -> None:
    """The tooltip says the same moment; days ago are counted."""
    at = datetime.fromisoformat(time["at"]).astimezone(UTC)
    local = at + timedelta(hours=5, minutes=45)
    assert f"{local:%H:%M}" in time["title"], (path, time)
    ago = datetime.now(UTC) - at
    if time["as"] is None and timedelta(days=2) < ago < timedelta(days=20):
        assert time["text"] == f"{ago.days} days ago", (path, time)
