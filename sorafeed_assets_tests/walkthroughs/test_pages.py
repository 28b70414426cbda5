"""The pages that the docs show and no walkthrough passes: overview, player, flags, rollouts."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final, Literal

import pytest
from playwright.sync_api import Browser, Page, expect
from redis import Redis
from sqlalchemy import Engine

from sorafeed_assets.demo.clips import routes
from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.services.tokens import Role, create_token
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.services.rollouts.rolling import PLAN, RollingWall
from sorafeed_assets_tests.serving.browsing import Site, copy_clips, needs_browser, watched_page
from sorafeed_assets_tests.serving.client import (
    CREATE_DISPLAY,
    CREATE_PLAYLIST,
    Api,
    newest,
    token_of,
)
from sorafeed_assets_tests.walkthroughs.camera import Camera
from sorafeed_assets_tests.walkthroughs.titles import add_titled_posts

pytestmark = needs_browser

_SCHEMES: Final[tuple[Literal["light", "dark"], ...]] = ("light", "dark")
_EVENING: Final = (newest("movie trailer", 4), newest("cooking show", 2))
_DAY: Final = (newest("nature documentary", 3), newest("cooking show", 2))
# Code → name, playlist and blocks.
_WALL: Final = {
    "LOBBY1": ("Lobby", "Evening", _EVENING),
    "CAFE01": ("Café", "Day", _DAY),
    "CINE01": ("Cinema 1", "Evening", _EVENING),
    "CINE02": ("Cinema 2", "Evening", _EVENING),
    "HALL01": ("North hall", "Day", _DAY),
    "HALL02": ("South hall", "Day", (*_DAY, newest("northern unicorns", 2))),
    "GATE01": ("Main gate", "Evening", _EVENING),
    "LIFT01": ("Lift A", "Short", (newest("cooking show", 14),)),
    "LIFT02": ("Lift B", "Short", (newest("movie trailer", 3),)),
    "SHOP01": ("Shop window", "Day", _DAY),
    "ROOF01": ("Roof terrace", "Day", _DAY),
    "KITCH1": ("Kitchen", "Day", _DAY),
}


@pytest.fixture
def wall(settings: Settings, engine: Engine) -> Iterator[Site]:
    """A served API with a dozen displays; one of them has a dry block, and one repeats videos."""
    folder = settings.data_dir / "clips" / "1"
    folder.mkdir(parents=True)
    copy_clips(folder)
    add_titled_posts(engine)
    with serving(settings, Listening(free_port(), routes=routes())) as url:
        admin = Api(url, token_of(engine, Role.ADMIN))
        for code, (name, playlist, blocks) in _WALL.items():
            admin.ask(CREATE_DISPLAY, name=name, id=code)
            admin.ask(CREATE_PLAYLIST, display=code, name=playlist, blocks=list(blocks))
        yield Site(url, engine, admin)
        admin.close()


def test_the_overview_and_a_player_in_light_and_dark(
    page: Page, browser: Browser, wall: Site, camera: Camera
) -> None:
    with watched_page(browser) as screen, watched_page(browser) as other:
        screen.set_viewport_size({"width": 960, "height": 540})
        wall.play(screen, "LOBBY1")
        wall.play(other, "CAFE01")
        page.set_viewport_size({"width": 1280, "height": 860})
        wall.enter(page)
        cards = page.locator(".card")
        expect(cards).to_have_count(len(_WALL))
        expect(cards.filter(has_text="Online")).to_have_count(2)
        # The worst first.
        expect(cards.nth(0)).to_contain_text("No post matches “northern unicorns”")
        expect(cards.nth(1)).to_contain_text("Too few posts match “cooking show”")
        for scheme in _SCHEMES:
            for each, name in ((page, "admin"), (screen, "player")):
                each.emulate_media(color_scheme=scheme)
                # A player shows its controls while the mouse moves.
                each.mouse.move(300 + len(scheme), 200)
                camera.take(each, f"{name}-{scheme}")


def test_the_page_of_the_flags_has_those_of_this_wall(
    page: Page, wall: Site, camera: Camera
) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    secret = create_token(wall.engine, Role.ADMIN, "wall team")[1]
    page.goto(f"{wall.url}/admin?token={secret}")
    page.get_by_role("link", name="Flags").click()
    for value, where, which, why in (
        ("creator_gap", "share", "20", "a fifth of the displays"),
        ("in_order", "displays", "LOBBY1", "the lobby keeps its order"),
    ):
        page.locator("[name=value]").select_option(value)
        page.locator(f"[name={where}]").fill(which)
        page.locator("[name=why]").fill(why)
        page.locator("form[method=post] button").click()
        expect(page.locator("main")).to_contain_text(why)
    page.goto(f"{wall.url}/admin/flags?display=LOBBY1")
    main = page.locator("main")
    expect(main).to_contain_text("it was set for this display by name")
    # No old system is beside this wall, and nothing tells of one.
    expect(main).not_to_contain_text("driver")
    page.get_by_text("Before and after").first.click()
    camera.take(page, "flags")


def test_the_page_of_the_rollouts_has_the_signals_of_both_sides(
    page: Page, settings: Settings, engine: Engine, redis: Redis, camera: Camera
) -> None:
    wall = RollingWall(engine, redis)
    wall.now -= timedelta(minutes=10)
    wall.rollouts.start(PLAN, by="wall team")
    wall.simulate(9, lambda _planner: 0.02)
    with serving(settings, Listening(free_port())) as url:
        Site(url, engine, Api(url, None)).enter(page, "rollouts")
        expect(page.locator("main")).to_contain_text("50 % of the displays, step 2 of 3")
        expect(page.get_by_role("row", name="skipped")).to_contain_text("not worse in the share")
        camera.take(page, "rollouts")
