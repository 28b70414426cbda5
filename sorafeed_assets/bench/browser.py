"""Loading a page in Chromium, as someone does who opens the link for the first time."""

import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_LOADS: Final = 10
_SETTLED_MS: Final = 500
_LOADED: Final = """
new Promise(done => {
  const told = () => setTimeout(() => {
    const [entry] = performance.getEntriesByType("navigation");
    done(entry.loadEventEnd);
  });
  document.readyState === "complete" ? told() : addEventListener("load", told);
})
"""


@dataclass(frozen=True, slots=True)
class PageLoad:
    """One load: seconds to the load event, and kilobytes over the wire, headers and all."""

    seconds: float
    kilobytes: float


def page_loads(address: str) -> list[PageLoad]:
    """Load a page again and again, each time in a new profile; empty without a browser."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None or find_spec("playwright") is None:
        return []
    from playwright.sync_api import sync_playwright  # a development dependency

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        loads = [_load(browser, address) for _ in range(_LOADS)]
        browser.close()
    return loads


def _load(browser: "Browser", address: str) -> PageLoad:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    sizes: list[float] = []
    wire = context.new_cdp_session(page)
    wire.send("Network.enable")
    wire.on("Network.loadingFinished", lambda ended: sizes.append(ended["encodedDataLength"]))
    page.goto(address)
    seconds = float(page.evaluate(_LOADED)) / 1000
    page.wait_for_timeout(_SETTLED_MS)
    context.close()
    return PageLoad(seconds, sum(sizes) / 1000)
