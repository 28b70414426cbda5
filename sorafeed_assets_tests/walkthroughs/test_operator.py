"""docs/operators-guide.md: a wall that is run with the admin page alone."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Browser, Page, expect

from sorafeed_assets.demo.clips import routes
from sorafeed_assets.launch.dagster_instance import open_instance
from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets_tests.launch.reacting import reacting
from sorafeed_assets_tests.serving.browsing import (
    STEP,
    Site,
    needs_browser,
    shows,
    until,
    watched_page,
)
from sorafeed_assets_tests.serving.client import CREATE_DISPLAY, Api, token_of
from sorafeed_assets_tests.walkthroughs.camera import Camera
from sorafeed_assets_tests.walkthroughs.clock import Clock
from sorafeed_assets_tests.walkthroughs.titles import add_titled_posts

pytestmark = [needs_browser, pytest.mark.filterwarnings("ignore::ResourceWarning")]

_CAFES: Final = 20
_ZONE: Final = "Europe/Vienna"
_SATURDAY: Final = 5


@pytest.fixture
def clock(database_url: str) -> Clock:
    """The clock by which playlists switch; it shows a working day."""
    clock = Clock(database_url)
    clock.start()
    if _local(clock).weekday() >= _SATURDAY:
        clock.move(timedelta(days=3))
    return clock


def _local(clock: Clock) -> datetime:
    return clock.now().astimezone(ZoneInfo(_ZONE))


@pytest.fixture
def wall(clock: Clock, addressed: Settings) -> Iterator[Site]:
    """A served API with `react`, posts, and displays of cafés without playlists."""
    engine = create_database_engine(str(addressed.database_url), addressed)
    add_titled_posts(engine)
    with (
        open_instance(addressed) as instance,
        reacting(addressed, instance),
        serving(addressed, Listening(free_port(), routes=routes())) as url,
    ):
        admin = Api(url, token_of(engine, Role.ADMIN))
        for number in range(1, _CAFES + 1):
            admin.ask(CREATE_DISPLAY, name=f"Café {number:02}", id=f"CAFE{number:02}")
        yield Site(url, engine, admin)
        admin.close()
    engine.dispose()


def test_an_operator_runs_a_wall_with_the_page_alone(
    page: Page, browser: Browser, wall: Site, clock: Clock, camera: Camera
) -> None:
    with watched_page(browser) as screen:
        lobby = _connect_a_screen(page, screen, wall, camera)
        _build_a_playlist(page, screen, camera)
        _copy_it_to_the_cafes(page, wall, lobby, camera)
        _schedule_a_weekend_playlist(page, wall, lobby, camera)
        _see_it_switch(page, screen, clock, camera)
        _mute_it(page, screen, camera)
        _restore_a_deleted_one(page, camera)


def _connect_a_screen(page: Page, screen: Page, wall: Site, camera: Camera) -> str:
    screen.goto(f"{wall.url}/player")
    until(screen, "document.body.dataset.code")
    code = screen.get_by_role("heading").inner_text()
    camera.take(screen, "walk-pairing")
    wall.enter(page)
    page.get_by_role("link", name="Connect a screen").click()
    page.get_by_role("textbox", name="Code on the screen").fill(code)
    page.get_by_role("textbox", name="Or the name of a new display").fill("Lobby")
    camera.take(page, "walk-connect")
    page.get_by_role("button", name="Connect").click()
    page.wait_for_url(f"{wall.url}/admin/displays/*/screens")
    found = re.search(r"/displays/([A-Z0-9]{6})/", page.url)
    assert found is not None
    until(screen, "code => document.body.dataset.code === code", found[1])
    page.get_by_role("link", name="Lobby").click()
    page.wait_for_url(f"{wall.url}/admin/displays/{found[1]}")
    return found[1]


def _add_a_block(page: Page, search: str, videos: int) -> None:
    page.get_by_role("button", name="Add a block").click()
    row = page.locator("[data-block]").last
    row.get_by_label("Search").fill(search)
    row.get_by_label("Videos").fill(str(videos))
    row.get_by_label("Which").select_option("newest")
    expect(row.locator("[data-total]")).to_have_text("12 posts")


def _build_a_playlist(page: Page, screen: Page, camera: Camera) -> None:
    _add_a_block(page, "movie trailer", 2)
    _add_a_block(page, "cooking show", 3)
    page.get_by_role("button", name="Preview").click()
    preview = page.locator("[data-draft] .compared-plans > div").first.locator(".text")
    expect(preview).to_have_count(10)
    first = preview.first.inner_text()
    camera.take(page, "walk-preview")
    page.get_by_role("button", name="Save and play").click()
    page.get_by_role("textbox", name="Name", exact=True).fill("Weekdays")
    page.get_by_role("button", name="OK").click()
    expect(page.locator(".playlists li.active")).to_contain_text("Weekdays")
    until(screen, "document.body.dataset.view === 'playing'")
    # What the preview showed first is on screen first.
    expect(page.locator("[data-part=stage] .text, [data-part=history] .text").last).to_have_text(
        first
    )
    camera.take(page, "walk-playing")


def _copy_it_to_the_cafes(page: Page, wall: Site, lobby: str, camera: Camera) -> None:
    page.get_by_role("link", name="Displays").click()
    page.wait_for_url(f"{wall.url}/admin")
    find = page.get_by_label("Find a display")
    bar = page.get_by_role("region", name="Selected displays")
    find.fill("café")
    page.get_by_label("Select Café 01").check()
    bar.get_by_role("button", name="Select all shown").click()
    expect(bar).to_contain_text(f"{_CAFES} selected")
    bar.get_by_role("button", name="Tags").click()
    page.locator("#many-tags").get_by_label("Add").fill("cafe")
    page.locator("#many-tags").get_by_role("button", name="Save").click()
    expect(page.locator(".card .tag", has_text="cafe")).to_have_count(_CAFES)
    find.fill("")
    page.get_by_label("Show displays with a tag").select_option("cafe")
    expect(page.locator(".card:visible")).to_have_count(_CAFES)
    expect(bar).to_contain_text(f"{_CAFES} selected")
    bar.get_by_role("button", name="Copy a playlist").click()
    page.get_by_label("From display").fill(lobby)
    expect(page.locator("[data-playlists]")).to_contain_text("Weekdays (active)")
    camera.take(page, "walk-copy")
    page.get_by_role("button", name="Copy and play").click()
    shows(page, f"{_CAFES} of {_CAFES} done.")
    playing = page.locator(".card:visible", has_text="Weekdays")
    expect(playing).to_have_count(_CAFES)
    bar.get_by_role("button", name="Clear").click()
    page.get_by_label("Show displays with a tag").select_option("")


def _schedule_a_weekend_playlist(page: Page, wall: Site, lobby: str, camera: Camera) -> None:
    page.get_by_role("link", name="Lobby").click()
    page.wait_for_url(f"{wall.url}/admin/displays/{lobby}")
    page.get_by_role("button", name="Duplicate").click()
    page.locator("#ask").get_by_role("textbox").fill("Weekend")
    page.locator("#ask").get_by_role("button", name="Duplicate").click()
    expect(page.locator("#editor-title")).to_have_text("Playlist: Weekend")
    page.get_by_label("Search", exact=True).first.fill("nature documentary")
    page.get_by_role("button", name="Save", exact=True).click()
    shows(page, "Saved. The display plays it after you activate it.")
    page.get_by_role("link", name="Timetable").click()
    slot = page.locator("#slot")
    slot.get_by_label("Playlist").select_option("Weekend")
    for day in ("Mon", "Tue", "Wed", "Thu", "Fri"):
        slot.get_by_label(day).uncheck()
    for day in ("Sat", "Sun"):
        slot.get_by_label(day).check()
    slot.get_by_label("From").fill("00:00")
    slot.get_by_label("To", exact=False).first.fill("24:00")
    slot.get_by_label("Time zone").fill(_ZONE)
    slot.get_by_role("button", name="Add").click()
    expect(page.get_by_role("heading", name="Week of")).to_be_visible()
    expect(page.locator(".sum")).to_contain_text("Weekdays is active as the base playlist")
    camera.take(page, "walk-timetable")
    page.get_by_role("link", name=lobby).click()
    page.wait_for_url(f"{wall.url}/admin/displays/{lobby}")
    shows(page, "Active as the base playlist; next is Weekend")


def _see_it_switch(page: Page, screen: Page, clock: Clock, camera: Camera) -> None:
    """Nothing is written and no page is touched: the clock alone makes the switch."""
    local = _local(clock)
    noon = local.replace(hour=12) + timedelta(days=_SATURDAY - local.weekday())
    clock.move(noon - datetime.now(ZoneInfo(_ZONE)))
    expect(page.locator(".playlists li.active")).to_contain_text("Weekend", timeout=6 * STEP)
    shows(page, "Active by a time slot")
    until(screen, "document.querySelector('[data-text]').textContent.includes('documentary')")
    shows(page, "nature documentary")
    camera.take(page, "walk-weekend")


def _mute_it(page: Page, screen: Page, camera: Camera) -> None:
    # A player begins muted, as browsers ask for.
    page.get_by_role("button", name="Unmute").click()
    until(screen, "!document.querySelector('video.front').muted")
    page.get_by_role("button", name="Mute", exact=True).click()
    until(screen, "[...document.querySelectorAll('video')].every(each => each.muted)")
    # What the player reports, not what it was told.
    expect(page.locator("[data-report]")).to_contain_text("muted")
    expect(page.get_by_role("button", name="Unmute")).to_be_visible()
    camera.take(page, "walk-muted")


def _restore_a_deleted_one(page: Page, camera: Camera) -> None:
    dialog = page.locator("#ask")
    page.get_by_role("button", name="Delete Weekend").click()
    expect(dialog.locator("[data-ask-warning]")).to_contain_text("It is the active playlist")
    camera.take(page, "walk-delete")
    dialog.get_by_role("button", name="Delete").click()
    expect(page.locator(".playlists li.active")).to_contain_text("Weekdays")
    page.reload()
    page.get_by_text("Deleted (1)").click()
    camera.take(page, "walk-deleted", of=".panel:has(#playlists-title)")
    page.get_by_role("button", name="Restore Weekend").click()
    expect(page.locator(".playlists").first).to_contain_text("Weekend")
