"""Players in a real browser while the API's process is killed: for a day, and with full storage."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page
from sqlalchemy import Engine

from sorafeed_assets.demo import clips as demo_clips
from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.serving.browsing import (
    Site,
    add_demo_posts,
    data,
    needs_browser,
    until,
    watched_page,
)
from sorafeed_assets_tests.serving.client import Api, make_display, newest, token_of, wait_until
from sorafeed_assets_tests.serving.processes import Served, served

pytestmark = needs_browser

# Videos play 16 times as fast. From the moment that local storage has, an hour passes in a second.
_FAST: Final = """
const Real = Date;
globalThis.RealDate = Real;
const at = (name) => Number(localStorage.getItem(name)) || Infinity;
class Fast extends Real {
  constructor(...given) {
    if (given.length) super(...given);
    else super(Fast.now());
  }
  static now() {
    const now = Real.now();
    return now + Math.max(0, Math.min(now, at("calm")) - at("fast")) * 3599;
  }
}
globalThis.Date = Fast;
const play = HTMLMediaElement.prototype.play;
HTMLMediaElement.prototype.play = function () {
  this.defaultPlaybackRate = this.playbackRate = 16;
  return play.call(this);
};
"""
_HOURS_AWAY: Final = "(Date.now() - Number(localStorage.getItem('fast'))) / 3600e3"
_UNTOLD: Final = "Number(document.body.dataset.untold)"
# The entries of the plays that a page keeps, in their order.
_KEPT: Final = """(code) => new Promise((resolve) => {
  const opening = indexedDB.open(`sorafeed-player-${code}`);
  opening.onsuccess = () => {
    const plays = opening.result.transaction("plays").objectStore("plays").getAll();
    plays.onsuccess = () => {
      opening.result.close();
      resolve(plays.result.map((play) => play.entry));
    };
  };
})"""
_IN_CACHES: Final = """async () => {
  const found = [];
  for (const name of await caches.keys()) {
    const cache = await caches.open(name);
    for (const request of await cache.keys()) {
      const response = await cache.match(request);
      const isText = !response.headers.get("content-type").startsWith("video");
      found.push([name, request.url, isText ? await response.text() : ""]);
    }
  }
  return found;
}"""
# At each video that is kept, whether the page is.
_WATCH_PUTS: Final = """
const put = Cache.prototype.put;
window.isPageKept = [];
Cache.prototype.put = async function (...what) {
  isPageKept.push(Boolean(await caches.match(location.pathname)));
  return put.apply(this, what);
};
"""
# How many positions the display has moved on, and how many plays it has, at one moment.
_PLACE: Final = """
SELECT 20 * loop_iteration + timeline_position,
    (SELECT count(*) FROM video_history WHERE display_id = 'DAYS01')
FROM displays WHERE id = 'DAYS01'
"""
_IS_READY: Final = (
    """(code) => document.body.dataset.filled && caches.match(`/player/${code}`).then(Boolean)"""
)


@contextmanager
def _api(settings: Settings, port: int) -> Iterator[Served]:
    with served(settings, port, [demo_clips.__name__]) as server:
        yield server


def _kill(server: Served) -> None:
    os.kill(server.pid, signal.SIGKILL)


def _history(engine: Engine, code: str) -> list[Any]:
    return run(
        engine,
        "SELECT timeline_video_id::text AS entry, video_id FROM video_history"
        " WHERE display_id = :code ORDER BY played_at",
        code=code,
    )


def _play(page: Page, server: Served, engine: Engine, code: str) -> str:
    """Let a new display's player start, until it has what it needs without a server; its token."""
    api = Api(server.url, token_of(engine, Role.ADMIN))
    make_display(api, code, newest("cat", 20))
    api.close()
    # It plays this playlist since before the day in which the server will be away.
    run(engine, "UPDATE displays SET dedup_since = now() - interval '30 days'")
    secret = token_of(engine, Role.DISPLAY, code)
    page.goto(f"{server.url}/player/{code}?token={secret}")
    until(page, "document.body.dataset.view === 'playing'")
    until(page, _IS_READY, code)
    return secret


def test_a_player_plays_for_a_day_without_the_server_and_tells_all_its_plays(
    page: Page, web: Settings, engine: Engine
) -> None:
    settings = web.model_copy(update={"player_plan_hours": 720, "player_plan_videos": 900})
    # No video comes round again: the order of plays before and in the fast day would matter.
    add_demo_posts(engine, "cat", 1_000)
    port = free_port()
    page.add_init_script(_FAST)
    with _api(settings, port) as server:
        secret = _play(page, server, engine, "DAYS01")
        kept = page.evaluate(_IN_CACHES)
        assert {name for name, *_ in kept} == {"sorafeed-shell-1", "sorafeed-videos-1"}
        assert not any(secret in address or secret in body for _, address, body in kept)
        _kill(server)
    stored = {row.entry for row in _history(engine, "DAYS01")}
    page.evaluate("localStorage.setItem('fast', Date.now())")
    until(page, "document.body.dataset.away === '1'")
    until(page, f"{_UNTOLD} >= 12")
    # A power cut: the page starts without the server, at the place where it was.
    page.reload()
    until(page, "document.body.dataset.view === 'playing'")
    before = page.evaluate(_UNTOLD)
    assert before >= 12
    until(page, f"{_HOURS_AWAY} > 24")
    until(page, "n => Number(document.body.dataset.untold) >= n + 12", before)
    # Plays are told in calls of their own, whose order would be lost if hours passed between them.
    page.evaluate("localStorage.setItem('calm', RealDate.now())")
    # What played when the page was loaded again is told twice, and stored once.
    told = list(dict.fromkeys(page.evaluate(_KEPT, "DAYS01")))
    with _api(settings, port) as server:
        until(page, f"document.body.dataset.away === '0' && {_UNTOLD} === 0")
        wait_until(lambda: set(told) <= {row.entry for row in _history(engine, "DAYS01")})
        ((place, plays),) = run(engine, _PLACE)
        # It shows what the server says, which has moved on with it.
        api = Api(server.url, token_of(engine, Role.READER))
        # A day passes in seconds: by the time it is asked, the display may have moved on.
        wait_until(
            lambda: (
                page.evaluate("document.body.dataset.video")
                == api.http.get("/api/displays/DAYS01/next").json()["videos"][0]["video"]
            )
        )
        api.close()
        recorded = [row.entry for row in _history(engine, "DAYS01")]
    # None is missing or doubled, all are in their order, and the display moved through them. One
    # whose answer was lost when the server ended is told again, and keeps its first time.
    later = [entry for entry in told if entry not in stored]
    assert [entry for entry in recorded if entry in set(later)] == later
    assert len(recorded) == len(set(recorded))
    assert len(told) <= plays <= place


def test_a_player_whose_storage_is_full_keeps_what_plays_next_and_loses_no_play(
    page: Page, web: Settings, engine: Engine, clips: Path
) -> None:
    add_demo_posts(engine, "cat", 50)
    port = free_port()
    storage = page.context.new_cdp_session(page)

    def give(size: int) -> None:
        storage.send(
            "Storage.overrideQuotaForOrigin",
            {"origin": f"http://127.0.0.1:{port}", "quotaSize": size},
        )

    page.add_init_script(_FAST)
    clip = (clips / "wide-0.webm").stat().st_size
    with _api(web, port) as server:
        give(5 * clip)
        _play(page, server, engine, "FULL01")
        # Of six addresses.
        assert 1 <= int(data(page, "kept")) <= 4
        _kill(server)
    # No room for anything more: videos make room for plays, and play from memory.
    give(1)
    until(page, "document.body.dataset.away === '1'")
    shown = int(data(page, "shown"))
    until(page, "n => Number(document.body.dataset.shown) >= n + 8", shown)
    assert data(page, "view") == "playing"
    untold = page.evaluate(_UNTOLD)
    assert untold >= 8
    with _api(web, port):
        until(page, f"document.body.dataset.away === '0' && {_UNTOLD} === 0")
        rows = _history(engine, "FULL01")
    assert len({row.entry for row in rows}) == len(rows) >= untold


def test_the_page_is_kept_before_its_videos(page: Page, web: Settings, engine: Engine) -> None:
    add_demo_posts(engine, "cat", 50)
    page.add_init_script(_FAST)
    page.add_init_script(_WATCH_PUTS)
    with _api(web, free_port()) as server:
        _play(page, server, engine, "ROOM01")
        kept = page.evaluate("isPageKept")
        assert kept
        assert all(kept), kept


def test_a_plan_that_is_not_the_server_s_is_not_played(page: Page, site: Site) -> None:
    add_demo_posts(site.engine, "elk", 9)
    make_display(site.admin, "SIGN01", newest("elk", 5))
    make_display(site.admin, "SIGN02", newest("elk", 5))
    site.play(page, "SIGN01")
    until(page, "Boolean(document.body.dataset.plan)")
    signed = site.admin.http.get("/api/displays/SIGN01/plan").json()
    other = site.admin.http.get("/api/displays/SIGN02/plan").json()
    cases = [
        (signed, 0, ""),
        (
            {**signed, "plan": signed["plan"].replace('"elk1"', '"elk2"', 1)},
            0,
            "signature is wrong",
        ),
        ({**signed, "plan": other["plan"]}, 0, "signature is wrong"),
        (other, 0, "of another display"),
        ({**signed, "key": "x"}, 0, "key is not the server's"),
        (signed, 169, "has expired"),
        (signed, 167, ""),
    ]
    told = page.evaluate(
        """async (cases) => {
          const { verified } = await import("/static/plan.js");
          const keys = JSON.parse(document.body.dataset.keys);
          const now = Date.now;
          const told = [];
          for (const [signed, hours] of cases) {
            Date.now = () => now() + hours * 3600e3;
            const said = verified(signed, keys, "SIGN01").then(() => "", (error) => error.message);
            told.push(await said);
          }
          Date.now = now;
          return told;
        }""",
        cases,
    )
    for said, (_, _, expected) in zip(told, cases, strict=True):
        assert expected in said if expected else said == ""


def test_a_player_without_https_plays_as_before(browser: Browser, site: Site) -> None:
    add_demo_posts(site.engine, "yak", 9)
    make_display(site.admin, "PLAIN1", newest("yak", 5))
    with watched_page(browser) as page:
        page.add_init_script(
            "Object.defineProperty(window, 'isSecureContext', { value: false });"
            "delete Navigator.prototype.serviceWorker; delete window.caches;"
        )
        site.play(page, "PLAIN1")
        until(page, "Number(document.body.dataset.shown) >= 2")
        assert data(page, "plan") == ""
