"""The player in a real browser: it follows the admin page, and keeps playing after failures."""

from itertools import pairwise
from statistics import median
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import Engine, text

from sorafeed_assets.demo.clips import routes
from sorafeed_assets.domain.flags.known import DRIVER
from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.services.flags import Flags
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.serving.browsing import (
    Site,
    add_demo_posts,
    data,
    needs_browser,
    shows,
    until,
)
from sorafeed_assets_tests.serving.client import (
    CREATE_PLAYLIST,
    Api,
    make_display,
    newest,
    token_of,
    wait_until,
)

pytestmark = needs_browser

_UNTOLD = "Number(document.body.dataset.untold)"
# The entries of the plays that a page keeps in IndexedDB.
_KEPT = """(code) => new Promise((resolve) => {
  const opening = indexedDB.open(`sorafeed-player-${code}`);
  opening.onsuccess = () => {
    const plays = opening.result.transaction("plays").objectStore("plays").getAll();
    plays.onsuccess = () => {
      opening.result.close();
      resolve(plays.result.map((play) => play.entry));
    };
  };
})"""
_CLIPS = "performance.getEntriesByType('resource').filter(r => r.name.includes('/clips/'))"
_LONGEST_GAP = 200.0  # milliseconds; a few frames on a busy machine
_TIME = "document.querySelector('video.front').currentTime"


# All videos shown while the page is open.
_KEEP = """() => {
  const { dataset } = document.body;
  window.videos = [dataset.video];
  const note = () => window.videos.at(-1) === dataset.video || window.videos.push(dataset.video);
  new MutationObserver(note).observe(document.body, { attributeFilter: ["data-video"] });
}"""
# The element on top in the middle of the page, frame by frame, and the video behind it.
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
    player.evaluate(_KEEP)
    shown, moment = data(player, "video"), player.evaluate(_TIME)
    player.wait_for_timeout(400)
    assert player.evaluate(_TIME) == moment

    # While paused, only the skip can change the video; polling takes longer.
    stage.get_by_role("button", name="Skip").click()
    until(player, "was => document.body.dataset.video !== was", shown, seconds=15)
    assert _plays(site, "PRESS1")[0] == (shown, True)
    second = data(player, "video")
    assert second == f"cat{int(shown.removeprefix('cat')) + 1}"
    expect(stage.locator(".text")).to_have_text(f"A cat {second.removeprefix('cat')}")
    expect(page.locator("[data-part=history] li").first).to_contain_text("skipped")
    expect(page.locator("[data-part=next] li").first).not_to_contain_text(f"A {second}")
    assert player.evaluate("document.querySelector('video.front').paused")

    stage.get_by_role("button", name="Play", exact=True).click()
    expect(stage).to_contain_text("Playing")
    until(player, "was => document.body.dataset.video !== was", second)
    assert player.evaluate("window.videos.slice(0, 2)") == [shown, second]
    wait_until(lambda: second in dict(_plays(site, "PRESS1")))

    stage.get_by_role("button", name="Stop").click()
    expect(stage).to_contain_text("Stopped")
    until(player, "document.body.dataset.view === 'stopped'")
    assert player.evaluate("[...document.querySelectorAll('video')].every(v => v.paused)")
    expect(player.get_by_text("Press Play on the admin page to continue")).to_be_visible()


def test_an_edit_on_the_page_changes_what_plays_next(page: Page, site: Site) -> None:
    add_demo_posts(site.engine, "hen", 20)
    add_demo_posts(site.engine, "ram", 20)
    make_display(site.admin, "EDIT02", newest("hen", 10), newest("hen 2", 1), newest("hen 3", 1))
    player = page.context.new_page()
    site.play(player, "EDIT02")
    player.evaluate(_KEEP)
    site.enter(page, "displays/EDIT02")
    page.evaluate("window.stays = true")
    rows = page.locator("[data-block]")
    rows.nth(1).get_by_role("button", name="Remove this block").click()
    rows.nth(0).get_by_label("Videos").fill("4")
    page.get_by_role("button", name="Add a block").click()
    page.keyboard.type("ram")
    rows.nth(2).get_by_label("Videos").fill("3")
    rows.nth(2).get_by_label("Which").select_option("NEWEST")
    expect(rows.nth(2).locator("[data-total]")).to_have_text("20 posts")
    rows.nth(2).locator("[data-grip]").focus()
    for _ in range(2):
        page.keyboard.press("ArrowUp")
    page.get_by_role("button", name="Save", exact=True).click()
    shows(page, "Saved. The display is updated.")
    active = page.locator(".playlists li.active")
    expect(active).to_contain_text("active")
    expect(active).to_contain_text("3 blocks, 8 videos per loop")
    expect(page.locator("[data-part=stage]")).to_contain_text("“ram”")
    # The video on screen plays to its end; then the new first block plays.
    until(player, "document.body.dataset.video === 'ram3'")
    shown = player.evaluate("window.videos")
    hens = [f"hen{number}" for number in range(1, len(shown) - 2)]
    assert shown == [*hens, "ram1", "ram2", "ram3"]
    # An edit that is stored before the play that led to this video takes its row away.
    recorded = {video for video, _ in _plays(site, "EDIT02")}
    assert {*shown[:-1]} - recorded <= {shown[-4]}
    assert page.evaluate("window.stays")

    # Another playlist, chosen elsewhere, is the one to edit now.
    blocks = [newest("ram", 9)]
    site.admin.ask(CREATE_PLAYLIST, display="EDIT02", name="Night", blocks=blocks)
    expect(active).to_contain_text("Night")
    expect(rows).to_have_count(1)
    expect(rows.get_by_label("Videos")).to_have_value("9")
    until(player, "document.body.dataset.video === 'ram2'")
    assert player.evaluate("window.videos")[: len(shown)] == shown


def test_one_video_follows_another_without_a_gap(page: Page, site: Site) -> None:
    add_demo_posts(site.engine, "elk", 20)
    make_display(site.admin, "FLOW01", newest("elk", 20))
    network = page.context.new_cdp_session(page)
    site.play(page, "FLOW01")
    # A video that is not preloaded would be this much too late.
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
    assert median(gaps) < _LONGEST_GAP, gaps


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


def test_a_player_that_loses_the_server_goes_on_and_finds_it_again(
    page: Page, web: Settings, engine: Engine, request: pytest.FixtureRequest
) -> None:
    add_demo_posts(engine, "cat", 20)
    port = free_port()
    admin_page = page.context.new_page()
    with serving(web, Listening(port, routes=routes())) as url:
        admin = Api(url, token_of(engine, Role.ADMIN))
        request.addfinalizer(admin.close)
        site = Site(url, engine, admin)
        make_display(admin, "AWAY01", newest("cat", 20))
        site.play(page, "AWAY01")
        page.evaluate(_KEEP)
        site.enter(admin_page, "displays/AWAY01")
        until(page, f"{_CLIPS}.length >= 2")
    before = int(data(page, "shown"))
    until(page, "n => Number(document.body.dataset.shown) >= n + 2", before)
    assert data(page, "away") == "1"
    page.mouse.move(5, 5)
    expect(page.get_by_text("No connection to the server; playing loaded videos")).to_be_visible()
    expect(admin_page.get_by_text("No connection to the server. Reconnecting…")).to_be_visible()
    # Plays are kept meanwhile, to be sent later.
    told = page.evaluate(_KEPT, "AWAY01")
    assert len(told) >= 2
    posted: list[str] = []
    page.on("request", lambda sent: posted.append(sent.url))
    with serving(web, Listening(port, routes=routes())):
        until(page, "document.body.dataset.away === '0'")
        until(page, f"{_UNTOLD} === 0")
        # They are sent in one call.
        assert any(url.endswith("/api/plays?display=AWAY01") for url in posted)
        # The pause before the page's next try is random, up to 15 s.
        expect(admin_page.get_by_text("No connection to the server")).to_be_hidden()
        # It receives events again, and never stopped.
        admin.ask('mutation { skip(displayId: "AWAY01") { videoId } }')
        wait_until(lambda: any(was_skipped for _, was_skipped in _plays(site, "AWAY01")))
        head = admin.ask('{ display(id: "AWAY01") { queue { videoId } } }')["display"]["queue"][0]
        until(page, "head => window.videos.includes(head)", head["videoId"])
        plays = [video for video, _ in reversed(_plays(site, "AWAY01"))]
    with engine.connect() as connection:
        recorded = list(
            connection.scalars(text("SELECT timeline_video_id::text FROM video_history"))
        )
    # Each play is recorded once, in the order in which it was shown.
    assert set(told) <= set(recorded)
    assert len(recorded) == len(set(recorded))
    assert plays == [f"cat{number}" for number in range(1, len(plays) + 1)]


def test_a_player_whose_token_is_refused_says_so_and_keeps_its_plays(
    page: Page, site: Site
) -> None:
    add_demo_posts(site.engine, "fox", 20)
    make_display(site.admin, "LOCKED", newest("fox", 20))
    site.play(page, "LOCKED")
    until(page, f"{_CLIPS}.length >= 2")
    run(site.engine, "UPDATE api_tokens SET revoked_at = now() WHERE display_id = 'LOCKED'")
    refused = page.get_by_text("This player's token is not accepted")
    expect(refused.first).to_be_visible()
    until(page, f"{_UNTOLD} >= 2")
    kept = page.evaluate(_KEPT, "LOCKED")
    assert data(page, "view") == "playing"
    # With another token it sends the plays and continues.
    site.play(page, "LOCKED")
    until(page, f"{_UNTOLD} === 0")
    recorded = run(site.engine, "SELECT timeline_video_id::text FROM video_history")
    assert set(kept) <= {row[0] for row in recorded}
    expect(refused).to_be_hidden()


def test_a_display_that_the_old_system_drives_stops_until_it_is_switched_back(
    page: Page, site: Site
) -> None:
    add_demo_posts(site.engine, "newt", 9)
    make_display(site.admin, "SWITC1", newest("newt", 9))
    site.play(page, "SWITC1")

    def drive(driver: str) -> None:
        with site.engine.begin() as connection:
            Flags(site.engine).set_displays(
                connection, DRIVER, ["SWITC1"], driver, by="test", why="test"
            )

    drive("old")
    # A player polls, even without an event.
    until(page, "document.body.dataset.view === 'refused'", seconds=90)
    expect(page.locator("[data-message]")).to_have_text("The old system drives this display.")
    assert page.evaluate("[...document.querySelectorAll('video')].every(each => each.paused)")
    drive("new")
    until(page, "document.body.dataset.view === 'playing'", seconds=90)
