"""Helpers of the tests in a real browser: Chromium, a served site, and polling a page."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Browser, Dialog, Page, expect, sync_playwright
from playwright.sync_api import Error as PageError
from sqlalchemy import Engine, text

from sorafeed_assets.demo.clips import make_clip
from sorafeed_assets.services.tokens import Role
from sorafeed_assets_tests.serving.client import Api, token_of, wait_until

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")
STEP: Final = 20_000

needs_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium is installed; on Debian: apt-get install chromium"
)


@dataclass(frozen=True, slots=True)
class Site:
    """A served API with its database, and an admin's client."""

    url: str
    engine: Engine
    admin: Api

    def enter(self, page: Page, path: str = "") -> None:
        """Sign in as an admin, and open a page below ``/admin``."""
        page.goto(f"{self.url}/admin?token={token_of(self.engine, Role.ADMIN)}")
        if path:
            page.goto(f"{self.url}/admin/{path}")

    def play(self, page: Page, code: str) -> None:
        """Open a display's player, and wait until it plays."""
        page.goto(f"{self.url}/player/{code}?token={token_of(self.engine, Role.DISPLAY, code)}")
        until(page, "document.body.dataset.view === 'playing'")


@contextmanager
def chromium() -> Iterator[Browser]:
    """The installed Chromium, in which videos play without a gesture."""
    with sync_playwright() as playwright:
        # As root in a container there is no sandbox; only our own pages are opened.
        found = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
        )
        # Five seconds, the default, are too few on a busy machine, and for a page that tries again.
        expect.set_options(timeout=STEP)
        yield found
        expect.set_options(timeout=None)
        found.close()


def copy_clips(folder: Path) -> Path:
    """All clips of the demo as copies of one, so that tests spend no time on drawing."""
    make_clip(folder / "first.webm", "wide", 0)
    for shape in ("wide", "tall"):
        for number in range(6):
            shutil.copy(folder / "first.webm", folder / f"{shape}-{number}.webm")
    return folder


@contextmanager
def watched_page(browser: Browser, *, bypass_csp: bool = False) -> Iterator[Page]:
    """A page on which script errors and dialogs fail the test."""
    wrong: list[str] = []

    def refuse(dialog: Dialog) -> None:
        wrong.append(f"a dialog: {dialog.message}")
        dialog.dismiss()

    context = browser.new_context(viewport={"width": 1280, "height": 800}, bypass_csp=bypass_csp)
    context.set_default_timeout(STEP)
    context.on("weberror", lambda error: wrong.append(str(error.error)))
    context.on("dialog", refuse)
    yield context.new_page()
    context.close()
    assert wrong == []


def add_demo_posts(engine: Engine, words: str, count: int) -> None:
    """Add posts with the demo's addresses, which the API serves as clips."""
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO sora_posts (id, text, posted_at, video_url, width, height)"
                " SELECT :words || n, 'A ' || :words || ' ' || n, now() - n * interval '1 min',"
                " 'https://videos.example.invalid/' || n || '/md.mp4', 640, 352"
                " FROM generate_series(1, :count) n"
            ),
            {"words": words, "count": count},
        )


def data(page: Page, name: str) -> str:
    """An attribute of the player page's state."""
    return str(page.evaluate(f"document.body.dataset.{name} ?? ''"))


def until(page: Page, expression: str, value: object = None, seconds: float = 120.0) -> None:
    """Poll from here, because the pages' content security policy forbids evaluation."""

    def is_so() -> bool:
        page.wait_for_timeout(40)
        try:
            return bool(page.evaluate(expression, value))
        except PageError as error:
            # The page is being replaced by the next one, which is polled instead.
            if "Execution context was destroyed" not in str(error):
                raise
            return False

    wait_until(is_so, seconds)


def shows(page: Page, words: str) -> None:
    """Wait until a page shows these words."""
    until(page, "words => document.body.innerText.includes(words)", words)
