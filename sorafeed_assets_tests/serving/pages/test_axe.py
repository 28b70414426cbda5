"""axe-core finds nothing serious on any page: on a phone, a desk and a wall, light and dark."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Page, expect
from starlette.routing import Route

from sorafeed_assets.services.flags import Flags
from sorafeed_assets.services.rollouts.rollouts import Rollouts
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving.app import build_app
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.services.rollouts.rolling import PLAN
from sorafeed_assets_tests.serving.browsing import Site, add_demo_posts, needs_browser, until
from sorafeed_assets_tests.serving.client import CREATE_PLAYLIST, make_display, newest, token_of
from sorafeed_assets_tests.serving.pages.filling import compare_with_old

_AXE: Final = Path(__file__).parents[3] / "node_modules" / "axe-core" / "axe.min.js"

pytestmark = [
    needs_browser,
    pytest.mark.skipif(not _AXE.exists(), reason="no axe-core; `make test` installs it by npm"),
]

_CODE: Final = "AXES01"
_SIZES: Final = {"phone": (360, 740), "desk": (1280, 800), "wall": (3840, 2160)}
_SCHEMES: Final = ("light", "dark")
# Of the rules, only that of contrast depends on the colours.
_RUN: Final = """async ([scheme, place]) => {
  const root = place === null ? document : document.querySelectorAll("dialog")[place];
  const rules = scheme === "dark" ? { runOnly: ["color-contrast"] } : {};
  const { violations } = await axe.run(root, { resultTypes: ["violations"], ...rules });
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 160)}`));
}"""
_OPEN: Final = """(place) => {
  document.querySelector("dialog[open]")?.close();
  document.querySelectorAll("dialog")[place].showModal();
}"""
# What a page has to be asked for.
_ASKED: Final = {"/admin/posts/exclude": "?kind=post&id=movie%20trailer1"}
_SLOTS: Final = """
mutation ($id: ID!) {
  replaceTimeSlots(playlistId: $id, slots: [
    {days: [SATURDAY], starts: "9:00", ends: "17:00", timeZone: "UTC"}
  ]) { display { id } }
}
"""


@pytest.fixture(scope="module")
def filled(site: Site) -> Site:
    """Every page has content: lists with rows, problems, plots, forms."""
    add_demo_posts(site.engine, "movie trailer", 30)
    blocks = [newest("movie trailer", 4), newest("unicorn", 2)]
    make_display(site.admin, _CODE, *blocks)
    make_display(site.admin, "AXES02", *blocks)
    second = site.admin.ask(CREATE_PLAYLIST, display=_CODE, name="Weekend", blocks=blocks)
    playlist = second["createPlaylist"]["playlist"]["id"]
    site.admin.ask(_SLOTS, id=playlist)
    third = site.admin.ask(CREATE_PLAYLIST, display=_CODE, name="Old", blocks=blocks)
    for change in (
        f'deletePlaylist(id: "{third["createPlaylist"]["playlist"]["id"]}") {{ problem }}',
        f'skip(displayId: "{_CODE}") {{ videoId }}',
        'pause(displayId: "AXES02") { problem }',
        f'tagDisplays(displayIds: ["{_CODE}"], add: ["hall"]) {{ results {{ problem }} }}',
        'createTemplate(name: "A", blocks: [{search: "b", videoCount: 2}]) { template { id } }',
    ):
        site.admin.ask(f"mutation {{ {change} }}")
    make_display(site.admin, "AXES03", *blocks)
    site.admin.ask('mutation { deleteDisplay(id: "AXES03") { id } }')
    token_of(site.engine, Role.DISPLAY, _CODE)
    compare_with_old(site.engine)
    rollouts = Rollouts(site.engine, Flags(site.engine), lambda _displays: None)
    rollouts.start(PLAN, by="test")
    return site


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page with axe, without animations."""
    context = browser.new_context(reduced_motion="reduce")
    context.add_init_script(path=_AXE)
    yield context.new_page()
    context.close()


def _documents(site: Site) -> list[str]:
    """The addresses of the routes that answer an admin with a page."""
    found = []
    routes = [each for each in build_app(Settings()).routes if isinstance(each, Route)]
    asked = [route.path for route in routes if "GET" in (route.methods or ())]
    # A page with a slash at its end is the same page.
    for path in dict.fromkeys(path.rstrip("/") for path in asked):
        # A new parameter needs a value here.
        address = path.format(code=_CODE, playlist_id=uuid4(), kind="csv")
        address += _ASKED.get(path, "")
        # Only the head, because a stream of events does not end.
        with site.admin.http.stream("GET", address, headers={"accept": "text/html"}) as answer:
            if answer.headers.get("content-type", "").startswith("text/html"):
                assert answer.is_success or address.startswith("/api/"), address
                start = next(answer.iter_text(), "")
                found += [address] if start.startswith("<!doctype html>") else []
    return found


def _problems(page: Page) -> list[str]:
    """What axe finds at every size in both schemes, and in every dialog."""
    found: list[str] = []

    def look(where: str, scheme: str, place: int | None = None) -> None:
        problems = page.evaluate(_RUN, [scheme, place])
        found.extend(f"{page.url}, {where}, {scheme}: {each}" for each in problems)

    for size, (width, height) in _SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        for scheme in _SCHEMES:
            page.emulate_media(color_scheme=scheme)
            look(size, scheme)
            if size == "desk":
                for place in range(page.locator("dialog").count()):
                    page.evaluate(_OPEN, place)
                    look(f"dialog {place}", scheme, place)
                page.evaluate("document.querySelector('dialog[open]')?.close()")
    return found


def test_no_page_has_a_serious_problem(page: Page, filled: Site) -> None:
    pages = _documents(filled)
    assert {"/admin", f"/admin/displays/{_CODE}", "/player", f"/player/{_CODE}"} <= {*pages}
    found: list[str] = []
    page.goto(f"{filled.url}/admin")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    found += _problems(page)
    filled.enter(page)
    more = ["/admin/posts?words=movie", "/admin/displays/NONE00", "/admin/flags?display=AXES01"]
    for address in [*pages, *more]:
        if address == f"/player/{_CODE}":
            filled.play(page, _CODE)
            page.mouse.move(5, 5)
            until(page, "getComputedStyle(document.querySelector('.overlay')).opacity === '1'")
        else:
            page.goto(f"{filled.url}{address}")
        found += _problems(page)
    assert not found, "\n".join(found)
