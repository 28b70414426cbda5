"""The pages on a phone, on a large screen, in dark mode, and by keyboard only."""

import io
from collections.abc import Callable, Iterator
from typing import Any, Final, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from sorafeed_assets_tests.serving.browsing import Site, add_demo_posts, needs_browser, until
from sorafeed_assets_tests.serving.client import CREATE_PLAYLIST, make_display, newest
from sorafeed_assets_tests.serving.pages.filling import compare_with_old

pytestmark = needs_browser

_PHONE: Final = (360, 740)
_DESK: Final = (1280, 800)
_WALL: Final = (3840, 2160)

# Every visible text: its boxes, colour and opacity; also fields and placeholders.
_TEXTS: Final = """() => {
  const found = [];
  const add = (element, boxes, text, pseudo = null) => {
    const style = getComputedStyle(element, pseudo);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    let opacity = 1;
    let clip = { left: -Infinity, top: -Infinity, right: Infinity, bottom: Infinity };
    for (let at = element; at; at = at.parentElement) {
      opacity *= getComputedStyle(at).opacity;
      if (at === document.documentElement || getComputedStyle(at).overflow === "visible") continue;
      const box = at.getBoundingClientRect();
      clip = {
        left: Math.max(clip.left, box.left), right: Math.min(clip.right, box.right),
        top: Math.max(clip.top, box.top), bottom: Math.min(clip.bottom, box.bottom),
      };
    }
    for (const box of boxes) {
      const left = Math.ceil(Math.max(box.left, clip.left)) + 1;
      const right = Math.floor(Math.min(box.right, clip.right)) - 1;
      const top = Math.ceil(Math.max(box.top, clip.top)) + 1;
      const bottom = Math.floor(Math.min(box.bottom, clip.bottom)) - 1;
      if (left < right && top < bottom)
        found.push({ text, left, right, top, bottom, color: style.color, opacity, isLarge, size });
    }
  };
  const inner = (field) => {
    const box = field.getBoundingClientRect();
    return { left: box.left + 8, right: box.right - 8, top: box.top + 8, bottom: box.bottom - 8 };
  };
  // In a dialog only its own text is read; the rest is behind its backdrop.
  const root = document.querySelector("dialog[open]") ?? document.body;
  const isSeen = (element) =>
    element.checkVisibility({ visibilityProperty: true, opacityProperty: true })
    && !element.closest(".off-screen, .skip, :disabled, option");
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (!node.data.trim() || !isSeen(node.parentElement)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    add(node.parentElement, range.getClientRects(), node.data.trim());
  }
  for (const field of root.querySelectorAll("input, select")) {
    if (!isSeen(field) || ["radio", "hidden", "file", "range"].includes(field.type)) continue;
    add(field, [inner(field)], field.value || field.name);
    if (field.placeholder) add(field, [inner(field)], field.placeholder, "::placeholder");
  }
  return found;
}"""
_HIDE_TEXT: Final = """() => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
    *, ::before, ::placeholder {
      color: transparent !important; caret-color: transparent !important;
      text-shadow: none !important; text-decoration: none !important; transition: none !important;
    }
    svg, ::-webkit-calendar-picker-indicator { visibility: hidden; }
  `);
  document.adoptedStyleSheets = [sheet];
}"""
_SHOW_TEXT: Final = "() => { document.adoptedStyleSheets = []; }"

# The controls, and the element at the centre of each.
_CONTROLS: Final = """() => {
  const root = document.querySelector("dialog[open]") ?? document.body;
  return [...root.querySelectorAll("a[href], button, input, select")]
    .filter((one) => one.checkVisibility({ visibilityProperty: true }) && !one.closest(".skip"))
    .map((one) => {
      const place = one.closest(".card, label.button, .choice label") ?? one;
      place.scrollIntoView({ block: "center" });
      // A link in a text may break over lines: its first piece is looked at.
      const { left, top, width, height } = place.getClientRects()[0];
      const hit = document.elementFromPoint(left + width / 2, top + height / 2);
      const isInText = one.matches("p.quiet a");
      return {
        name: one.ariaLabel ?? one.name ?? one.textContent, width, height, isInText,
        isReached: place.contains(hit), isInside: left >= 0 && left + width <= innerWidth,
      };
    });
}"""
# Selects that are cut off, compared with their natural width.
_CUT: Final = """() => [...document.querySelectorAll("[data-block] select")].filter((one) => {
  const copy = one.cloneNode(true);
  copy.style.cssText = "position: absolute; width: max-content";
  one.after(copy);
  const isCut = copy.offsetWidth > one.offsetWidth;
  copy.remove();
  return isCut;
}).map((one) => [one.name, one.offsetWidth])"""
_FOCUSED: Final = """() => {
  const one = document.activeElement;
  const seen = [one, one.nextElementSibling, one.parentElement]
    .filter(Boolean).flatMap((each) => [getComputedStyle(each), getComputedStyle(each, "::after")])
    .filter((style) => style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2)
    .map((style) => style.outlineColor);
  const { top, bottom } = one.getBoundingClientRect();
  const isSeen = bottom > 0 && top < innerHeight;
  return { number: Number(one.dataset.number ?? -1), rings: seen, isSeen };
}"""
_NUMBER: Final = """() => {
  const root = document.querySelector("dialog[open]") ?? document.body;
  const chosen = [...root.querySelectorAll("a[href], button, input, select")]
    .filter((one) => one.checkVisibility({ visibilityProperty: true }) && !one.disabled)
    .filter((one) => one.type !== "radio" || one.checked);
  chosen.forEach((one, number) => { one.dataset.number = number; });
  return chosen.map((one) => one.outerHTML.slice(0, 80));
}"""


@pytest.fixture(scope="module")
def filled(site: Site) -> Site:
    """A site with varied content: a dry block, a pause, a skip, two playlists."""
    add_demo_posts(site.engine, "movie trailer", 30)
    blocks = [newest("movie trailer", 4), newest("unicorn", 2)]
    for code in ("LOOK01", "LOOK02"):
        make_display(site.admin, code, *blocks)
    site.admin.ask(CREATE_PLAYLIST, display="LOOK01", name="Weekend", blocks=blocks)
    site.admin.ask('mutation { skip(displayId: "LOOK01") { videoId } }')
    site.admin.ask('mutation { pause(displayId: "LOOK02") { problem } }')
    site.admin.ask(
        'mutation ($n: String!) { renameDisplay(id: "LOOK02", name: $n) { problem } }',
        n="The atrium of the building at the other end of the very long street, " * 2,
    )
    return site


Opened = Callable[[tuple[int, int], Literal["light", "dark"]], Page]


@pytest.fixture
def opened(browser: Browser, filled: Site) -> Iterator[Opened]:
    """Open signed-in pages of a size, in light or dark mode."""
    contexts = []

    def make(size: tuple[int, int], scheme: Literal["light", "dark"]) -> Page:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=scheme
        )
        contexts.append(context)
        page = context.new_page()
        filled.enter(page)
        return page

    yield make
    for context in contexts:
        context.close()


def _rgb(color: str) -> tuple[NDArray[np.float64], float]:
    """A computed colour and its alpha."""
    numbers = [float(one) for one in color[color.index("(") + 1 : -1].replace(",", " ").split()]
    return np.array(numbers[:3]), numbers[3] if len(numbers) > 3 else 1.0


def _luminance(rgb: NDArray[np.float64]) -> NDArray[np.float64]:
    part = rgb / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    light: NDArray[np.float64] = linear @ np.array([0.2126, 0.7152, 0.0722])
    return light


def _contrast(color: str, opacity: float, ground: NDArray[np.float64]) -> float:
    """The lowest contrast of a colour with the pixels behind it."""
    rgb, alpha = _rgb(color)
    over = rgb * alpha * opacity + ground * (1 - alpha * opacity)
    one, other = _luminance(over), _luminance(ground)
    return float(((np.maximum(one, other) + 0.05) / (np.minimum(one, other) + 0.05)).min())


def _too_faint(page: Page) -> list[tuple[str, float]]:
    """Texts with a contrast under 4.5:1, or 3:1 if large, to the actual pixels behind them."""
    page.evaluate("window.scrollTo(0, 0)")
    texts: list[dict[str, Any]] = page.evaluate(_TEXTS)
    page.evaluate(_HIDE_TEXT)
    image = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    page.evaluate(_SHOW_TEXT)
    pixels = np.asarray(image, dtype=np.float64)
    faint = []
    for text in texts:
        ground = pixels[text["top"] : text["bottom"], text["left"] : text["right"]].reshape(-1, 3)
        assert ground.size, text
        ratio = _contrast(text["color"], text["opacity"], np.unique(ground, axis=0))
        if ratio < (3 if text["isLarge"] else 4.5):
            faint.append((text["text"], round(ratio, 2)))
    return faint


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_contrast(
    opened: Opened, filled: Site, scheme: Literal["light", "dark"]
) -> None:
    page = opened((1280, 2400), scheme)
    assert _too_faint(page) == []
    page.get_by_role("button", name="Add a display").click()
    assert _too_faint(page) == []

    page.goto(f"{filled.url}/admin/displays/LOOK01")
    expect(page.locator("[data-total]").first).to_contain_text("posts")
    page.get_by_role("button", name="Add a block").click()
    # Visible errors: an invalid search, and a server that does not answer.
    page.locator("[data-block]").last.get_by_label("Search").fill("-no")
    expect(page.locator("[aria-invalid]")).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("[data-wrong]:visible")).to_have_count(1)
    page.route("**/graphql", lambda route: route.abort())
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("[data-toasts] p")).to_be_visible()
    assert _too_faint(page) == []
    page.get_by_role("button", name="Delete", exact=True).click()
    assert _too_faint(page) == []

    page.context.clear_cookies()
    page.goto(f"{filled.url}/admin?token=wrong")
    expect(page.get_by_role("alert")).to_be_visible()
    assert _too_faint(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_player_is_read_over_any_video(
    opened: Opened, filled: Site, scheme: Literal["light", "dark"]
) -> None:
    page = opened(_DESK, scheme)
    filled.play(page, "LOOK01")
    page.mouse.move(5, 5)
    until(page, "getComputedStyle(document.querySelector('.overlay')).opacity === '1'")
    # The worst case of a video.
    page.evaluate("""() => {
      document.querySelector("main").style.background = "white";
      for (const video of document.querySelectorAll("video")) video.style.visibility = "hidden";
    }""")
    page.locator("[data-mute]").hover()
    assert _too_faint(page) == []
    page.goto(f"{filled.url}/player/NONE00")
    expect(page.get_by_text("There is no display with this code")).to_be_visible()
    page.evaluate("document.querySelector('.overlay').remove()")
    assert _too_faint(page) == []


def _fits(page: Page) -> list[dict[str, Any]]:
    """The controls of a page, which must not scroll horizontally."""
    assert page.evaluate("document.scrollingElement.scrollWidth - innerWidth") <= 0
    controls: list[dict[str, Any]] = page.evaluate(_CONTROLS)
    assert len(controls) > 1
    assert [one for one in controls if not one["isReached"] or not one["isInside"]] == []
    return controls


def _small(controls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        one for one in controls
        if not one["isInText"] and min(one["width"], one["height"]) < 40
    ]  # fmt: skip


def test_a_phone_shows_all_and_fingers_find_it(opened: Opened, filled: Site) -> None:
    page = opened(_PHONE, "light")
    assert _small(_fits(page)) == []
    page.get_by_role("button", name="Add a display").click()
    assert _small(_fits(page)) == []
    filled.admin.ask('mutation { skip(displayId: "LOOK01") { videoId } }')
    page.goto(f"{filled.url}/admin/displays/LOOK01")
    assert _small(_fits(page)) == []
    assert page.evaluate(_CUT) == []
    shown = page.locator("[data-part=history] .plays .text").first.bounding_box()
    assert shown is not None
    assert shown["width"] > _PHONE[0] / 2
    # Where the columns have no heads, each field has its name.
    expect(page.locator("[data-heads]")).to_be_hidden()
    names = page.locator("[data-block]").first.locator("label span")
    assert names.all_inner_texts() == ["Search", "Videos", "Which", "Format"]
    assert all(place["height"] > 10 for each in names.all() if (place := each.bounding_box()))
    filled.play(page, "LOOK01")
    page.mouse.move(5, 5)
    assert _small(_fits(page)) == []


def test_the_page_beside_the_old_system(opened: Opened, filled: Site) -> None:
    compare_with_old(filled.engine)
    looks: list[tuple[tuple[int, int], Literal["light", "dark"]]] = [
        *((_DESK, "light"), (_DESK, "dark"), (_PHONE, "light"), (_WALL, "dark")),
    ]
    for size, scheme in looks:
        page = opened(size, scheme)
        page.goto(f"{filled.url}/admin/shadow")
        expect(page.get_by_role("img", name="Comparisons by day")).to_be_visible()
        assert _small(_fits(page)) == [] or size != _PHONE
        # All of it is looked at.
        height = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size({"width": size[0], "height": height})
        assert _too_faint(page) == []


def test_a_large_screen_is_filled_and_read_from_afar(opened: Opened, filled: Site) -> None:
    page = opened(_WALL, "dark")
    for path in ("", "/displays/LOOK01"):
        page.goto(f"{filled.url}/admin{path}")
        _fits(page)
        main = page.locator("main").bounding_box()
        assert main is not None
        assert main["width"] > 0.95 * _WALL[0]
        smallest = min(text["size"] for text in page.evaluate(_TEXTS))
        assert smallest > 19
    assert page.evaluate(_CUT) == []
    filled.play(page, "LOOK01")
    page.mouse.move(5, 5)
    _fits(page)
    video = page.locator("video.front").bounding_box()
    assert video == {"x": 0, "y": 0, "width": _WALL[0], "height": _WALL[1]}
    assert min(text["size"] for text in page.evaluate(_TEXTS)) > 19


def _walk(page: Page) -> None:
    """Tab through all controls: each once, in page order, visible, with a focus ring."""
    wanted: list[str] = page.evaluate(_NUMBER)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    reached: list[int] = []
    for _ in range(2 * len(wanted)):
        if len(reached) == len(wanted):
            break
        page.keyboard.press("Tab")
        at = page.evaluate(_FOCUSED)
        named = wanted[at["number"]] if at["number"] >= 0 else "a box that scrolls"
        assert at["isSeen"], named
        assert at["rings"], named
        assert max(_contrast(ring, 1.0, _rgb(ground)[0][None]) for ring in at["rings"]) >= 3
        # Day, month, year and calendar of a date are one control; a box that scrolls is none.
        is_same_date = reached[-1:] == [at["number"]] and 'type="date"' in named
        if at["number"] >= 0 and not is_same_date:
            reached.append(at["number"])
    assert reached == list(range(len(wanted))), wanted


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_keyboard_reaches_everything_in_order(
    opened: Opened, filled: Site, scheme: Literal["light", "dark"]
) -> None:
    page = opened(_DESK, scheme)
    _walk(page)
    page.goto(f"{filled.url}/admin/displays/LOOK02")
    _walk(page)
    page.get_by_role("button", name="Rename the display").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("textbox", name="Name")).to_be_focused()
    page.keyboard.press("Escape")
    # The focus returns to the control from before the dialog.
    expect(page.get_by_role("button", name="Rename the display")).to_be_focused()
    filled.play(page, "LOOK01")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Unmute")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Mute", exact=True)).to_be_focused()
