"""The player in a real browser: it follows the admin page, and plays on whatever breaks."""

from itertools import pairwise
from typing import Any

from playwright.sync_api import Page, expect
from sqlalchemy import Engine, text

from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.embedded import free_port
from sorafeed_assets_tests.serving.browsing import (
    Site,
    add_demo_posts,
    data,
    needs_browser,
    until,
)
from sorafeed_assets_tests.serving.client import Api, make_display, newest, token_of, wait_until

pytestmark = needs_browser

_OUTBOX = "JSON.parse(localStorage.getItem('sorafeed:plays:AWAY01'))"
_CLIPS = "performance.getEntriesByType('resource').filter(r => r.name.includes('/clips/'))"
_LONGEST_GAP = 200.0  # milliseconds; a few frames on a busy machine
_TIME = "document.querySelector('video.front').currentTime"


# What is on top in the middle of the page, frame by frame, and what waits behind it.
_WATCH = """() => {
  const pen = new OffscreenCanvas(16, 16).getContext("2d", { willReadFrequently: true });
  window.frames_seen = [];
  const look = (at) => {
    const top = document.elementFromPoint(innerWidth / 2, innerHeight / 2);
    const back = document.querySelector("video:not(.front)");
    const isVideo = top instanceof HTMLVideoElement;
    let light = 0;
    if (isVideo) {
      pen.fillRect(0, 0, 16, 16);
      pen.drawImage(top, 0, 0, 16, 16);
      light = Math.max(...pen.getImageData(0, 0, 16, 16).data.filter((_, i) => i % 4 < 3));
    }
    window.frames_seen.push({
      at, isVideo, light, video: top.dataset.video, time: top.currentTime, ready: top.readyState,
      nextVideo: back.dataset.video, nextReady: back.readyState,
    });
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""


def _plays(site: Site, code: str) -> list[tuple[str, bool]]:
    """The videos that a display has shown, the last first, and whether each was skipped."""
    query = "query ($c: ID!) { display(id: $c) { plays { nodes { videoId wasSkipped } } } }"
    nodes = site.admin.ask(query, c=code)["display"]["plays"]["nodes"]
    return [(node["videoId"], node["wasSkipped"]) for node in nodes]


def test_pause_skip_and_play_on_the_page_reach_the_player(page: Page, site: Site) -> None:
    add_demo_posts(site.engine, "cat", 20)
    make_display(site.admin, "PRESS1", newest("cat", 20))
    player = page.context.new_page()
    site.play(player, "PRESS1")
    site.enter(page, "displays/PRESS1")
    stage = page.locator("[data-part=stage]")
    expect(stage).to_contain_text("Playing")

    stage.get_by_role("button", name="Pause").click()
    expect(stage).to_contain_text("Paused")
    until(player, "document.body.dataset.view === 'paused'")
    shown, moment = data(player, "video"), player.evaluate(_TIME)
    player.wait_for_timeout(400)
    assert player.evaluate(_TIME) == moment

    # While it is paused only the skip can bring another video.
    stage.get_by_role("button", name="Skip").click()
    until(player, "was => document.body.dataset.video !== was", shown)
    assert _plays(site, "PRESS1")[0] == (shown, True)
    second = data(player, "video")
    assert second == f"cat{int(shown.removeprefix('cat')) + 1}"
    expect(stage.locator(".text")).to_have_text(f"A cat {second.removeprefix('cat')}")
    expect(page.locator("[data-part=history] li").first).to_contain_text("skipped")
    expect(page.locator("[data-part=next] li").first).not_to_contain_text(f"A {second}")
    assert player.evaluate("document.querySelector('video.front').paused")

    stage.get_by_role("button", name="Play", exact=True).click()
    expect(stage).to_contain_text("Playing")
    until(player, f"moment => document.body.dataset.view === 'playing' && {_TIME} > moment", 0.3)
    assert data(player, "video") == second
    until(player, "was => document.body.dataset.video !== was", second)
    wait_until(lambda: (second, False) in _plays(site, "PRESS1"))

    stage.get_by_role("button", name="Stop").click()
    expect(stage).to_contain_text("Stopped")
    until(player, "document.body.dataset.view === 'stopped'")
    assert player.evaluate("[...document.querySelectorAll('video')].every(v => v.paused)")
    expect(player.get_by_text("It goes on when somebody lets it play")).to_be_visible()


def test_one_video_follows_another_without_a_gap(page: Page, site: Site) -> None:
    add_demo_posts(site.engine, "elk", 20)
    make_display(site.admin, "FLOW01", newest("elk", 20))
    network = page.context.new_cdp_session(page)
    site.play(page, "FLOW01")
    # What is loaded only when it is needed comes this much too late.
    network.send("Network.setCacheDisabled", {"cacheDisabled": True})
    network.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 600, "downloadThroughput": -1, "uploadThroughput": -1},
    )
    page.evaluate(_WATCH)
    before = int(data(page, "shown"))
    until(page, "n => Number(document.body.dataset.shown) >= n + 3", before)
    until(page, f"{_TIME} > 0.3")
    frames = page.evaluate("window.frames_seen")
    assert len(frames) > 60
    assert [frame for frame in frames if not frame["isVideo"] or frame["ready"] < 2] == []
    assert min(frame["light"] for frame in frames) > 30
    gaps = []
    for number, (last, first) in enumerate(pairwise(frames), 1):
        if last["video"] == first["video"]:
            continue
        ended = next(frame for frame in frames if _is_at(frame, last))
        # The next one was ready before this one stood still.
        assert (ended["nextVideo"], ended["nextReady"] >= 3) == (first["video"], True)
        moved = next(frame["at"] for frame in frames[number:] if frame["time"] > 0)
        gaps.append(moved - ended["at"])
    assert len(gaps) == 3
    assert max(gaps) < _LONGEST_GAP, gaps


def _is_at(frame: dict[str, Any], other: dict[str, Any]) -> bool:
    return (frame["video"], frame["time"]) == (other["video"], other["time"])


def test_a_broken_file_is_left_after_a_moment(page: Page, site: Site) -> None:
    add_demo_posts(site.engine, "bug", 6)
    with site.engine.begin() as connection:
        connection.execute(
            text("UPDATE sora_posts SET video_url = :url WHERE id IN ('bug1', 'bug3')"),
            {"url": f"{site.url}/clips/none.webm"},
        )
    make_display(site.admin, "BROKE1", newest("bug", 6))
    site.play(page, "BROKE1")
    until(page, "document.body.dataset.video === 'bug2'")
    until(page, "document.body.dataset.video === 'bug4'")
    wait_until(lambda: len(_plays(site, "BROKE1")) >= 3)
    assert _plays(site, "BROKE1")[-3:] == [("bug3", True), ("bug2", False), ("bug1", True)]


def test_the_player_goes_on_while_the_server_is_away(
    page: Page, web: Settings, engine: Engine
) -> None:
    add_demo_posts(engine, "cat", 20)
    port = free_port()
    with serving(web, Listening(port)) as url:
        admin = Api(url, token_of(engine, Role.ADMIN))
        make_display(admin, "AWAY01", newest("cat", 20))
        page.goto(f"{url}/player/AWAY01?token={token_of(engine, Role.DISPLAY, 'AWAY01')}")
        until(page, "document.body.dataset.view === 'playing'")
        until(page, f"{_CLIPS}.length >= 2")
        admin.close()
    before = int(data(page, "shown"))
    until(page, "n => Number(document.body.dataset.shown) >= n + 2", before)
    assert data(page, "away") == "1"
    told = page.evaluate(f"{_OUTBOX}.map(p => p.entry)")
    assert len(told) >= 1
    with serving(web, Listening(port)):
        until(page, "document.body.dataset.away === '0'")
        until(page, f"{_OUTBOX}.length === 0")
        with engine.connect() as connection:
            recorded = set(
                connection.scalars(text("SELECT timeline_video_id::text FROM video_history"))
            )
    assert set(told) <= recorded
