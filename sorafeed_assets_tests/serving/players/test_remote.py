"""Remote control: what a player is told and reports, over the API; and in a real browser."""

from collections.abc import Callable
from itertools import takewhile
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import Engine

from sorafeed_assets.services.timelines.remote import read_remote
from sorafeed_assets.services.tokens import Role
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.serving.browsing import (
    Site,
    add_demo_posts,
    needs_browser,
    until,
)
from sorafeed_assets_tests.serving.client import (
    Api,
    make_display,
    newest,
    token_of,
    wait_until,
)
from sorafeed_assets_tests.wall import add_posts

_REMOTE = "/api/displays/FAR001/remote"
_SET = 'mutation ($v: Int!) { setVolume(displayId: "FAR001", volume: $v) { display { id } } }'
_SEEK = 'mutation ($s: Float!) { seek(displayId: "FAR001", seconds: $s) { display { id } } }'
_SHOWN = """{ display(id: "FAR001") { remote { isMuted volume
    report { view isMuted volume seconds duration } } } }"""
_PLAYS = '{ display(id: "FAR001") { plays { nodes { videoId wasSkipped } } } }'
_PREVIOUS = 'mutation { previous(displayId: "FAR001") { display { nowPlaying { post { id } } } } }'
_NOW = """mutation ($post: ID!) {
    playNow(displayId: "FAR001", postId: $post) {
        display { nowPlaying { post { id } reason } } } }"""


@pytest.fixture
def player(admin: Api, engine: Engine, connect: Callable[[str | None], Api]) -> Api:
    """The player of a display that plays."""
    add_posts(engine, "cat", 9)
    make_display(admin, "FAR001", newest("cat", 3))
    return connect(token_of(engine, Role.DISPLAY, "FAR001"))


def _told(player: Api) -> Any:
    return player.http.get(_REMOTE).raise_for_status().json()


def test_a_player_is_told_the_sound_and_a_seek_once(player: Api, admin: Api) -> None:
    assert _told(player) == {"muted": True, "volume": 100, "sound": None, "seek": None}
    admin.ask('mutation { unmute(displayId: "FAR001") { display { id } } }')
    admin.ask(_SET, v=40)
    head = player.http.get("/api/displays/FAR001/next").json()["videos"][0]["entry"]
    admin.ask(_SEEK, s=2.5)
    first = _told(player)
    assert (first["muted"], first["volume"]) == (False, 40)
    admin.ask(_SET, v=40)
    assert _told(player)["sound"] != first["sound"]
    assert (first["seek"]["entry"], first["seek"]["seconds"]) == (head, 2.5)
    admin.ask(_SEEK, s=2.5)
    assert _told(player)["seek"]["id"] != first["seek"]["id"]
    admin.ask('mutation { mute(displayId: "FAR001") { display { id } } }')
    assert (_told(player)["muted"], _told(player)["volume"]) == (True, 40)


def test_wrong_commands_are_refused(player: Api, admin: Api) -> None:
    for query, values, code in (
        (_SET, {"v": 101}, "BAD_USER_INPUT"),
        (_SET, {"v": -1}, "BAD_USER_INPUT"),
        (_SEEK, {"s": -0.5}, "BAD_USER_INPUT"),
        (_SEEK.replace("FAR001", "NONE00"), {"s": 1.0}, "NOT_FOUND"),
        (_SET.replace("FAR001", "NONE00"), {"v": 1}, "NOT_FOUND"),
    ):
        assert admin.refusal(query, **values)["extensions"]["code"] == code
    assert player.refusal(_SET, v=1)["extensions"]["code"] == "FORBIDDEN"
    assert _told(player)["volume"] == 100


def test_the_page_shows_what_the_player_reports(player: Api, admin: Api, engine: Engine) -> None:
    assert admin.ask(_SHOWN)["display"]["remote"]["report"] is None
    page = admin.http.get("/admin/displays/FAR001").text
    assert "No player is connected." in page
    entry = player.http.get("/api/displays/FAR001/next").json()["videos"][0]["entry"]
    started = {"entry": entry, "duration_ms": 20_000}
    player.http.post("/api/displays/FAR001/started", json=started).raise_for_status()
    said = {"view": "paused", "muted": False, "volume": 30, "entry": entry, "seconds": 12.5}
    assert player.http.post(_REMOTE, json=said).json() == {"changed": True}
    assert player.http.post(_REMOTE, json=said).json() == {"changed": False}
    shown = {"view": "paused", "isMuted": False, "volume": 30, "seconds": 12.5}
    wait_until(
        lambda: admin.ask(_SHOWN)["display"]["remote"]["report"] == {**shown, "duration": 20}
    )
    # In the next video it is at the start, until it reports.
    admin.ask('mutation { skip(displayId: "FAR001") { display { id } } }')
    assert admin.ask(_SHOWN)["display"]["remote"]["report"]["seconds"] == 0
    for wrong in (
        {**said, "view": "dancing"}, {**said, "view": 1}, {**said, "muted": 1},
        {**said, "volume": 101}, {**said, "volume": True}, {}, {**said, "seconds": -1},
        {**said, "seconds": "1"}, {**said, "seconds": True}, {**said, "entry": "first"},
    ):  # fmt: skip
        assert player.http.post(_REMOTE, json=wrong).status_code == 400, wrong
    assert admin.ask(_SHOWN)["display"]["remote"]["report"]["volume"] == 30
    assert read_remote(engine, "FAR001").report is not None


def test_a_place_runs_like_a_clock_while_the_player_plays(player: Api, engine: Engine) -> None:
    entry = player.http.get("/api/displays/FAR001/next").json()["videos"][0]["entry"]
    started = {"entry": entry, "duration_ms": 3_600_000}
    player.http.post("/api/displays/FAR001/started", json=started).raise_for_status()
    said = {"view": "playing", "muted": True, "volume": 100, "entry": entry, "seconds": 7.0}
    player.http.post(_REMOTE, json=said).raise_for_status()
    run(engine, "UPDATE display_remotes SET reported_at = reported_at - interval '90 seconds'")
    report = read_remote(engine, "FAR001").report
    assert report is not None
    assert report.seconds == 7.0
    assert report.seconds_now is not None
    assert report.seconds_now >= 97


def test_pages_hear_how_long_a_video_is_and_players_do_not(player: Api, admin: Api) -> None:
    entry = player.http.get("/api/displays/FAR001/next").json()["videos"][0]["entry"]
    address = "/api/displays/FAR001/events"
    with (
        admin.http.stream("GET", address) as of_page,
        player.http.stream("GET", address) as of_player,
    ):
        page, screen = of_page.iter_lines(), of_player.iter_lines()
        for lines in (page, screen):
            assert next(line for line in lines if line == "event: open")
        started = {"entry": entry, "duration_ms": 20_000}
        player.http.post("/api/displays/FAR001/started", json=started).raise_for_status()
        assert next(line for line in page if "length:FAR001" in line)
        # What came before the next change of the sound, which both hear.
        admin.ask('mutation { unmute(displayId: "FAR001") { display { id } } }')
        heard = list(takewhile(lambda line: "remote:FAR001" not in line, screen))
    assert any("display:FAR001" in line for line in heard)
    assert not any("length:" in line for line in heard)


def test_previous_and_a_chosen_video_play_at_once(player: Api, admin: Api) -> None:
    def begin() -> tuple[str, list[str]]:
        videos = player.http.get("/api/displays/FAR001/next").json()["videos"]
        entry = {"entry": videos[0]["entry"]}
        player.http.post("/api/displays/FAR001/started", json=entry).raise_for_status()
        return videos[0]["entry"], [video["video"] for video in videos]

    assert admin.refusal(_PREVIOUS)["extensions"]["code"] == "NOT_FOUND"
    first, queue = begin()
    player.http.post("/api/displays/FAR001/played", json={"entry": first}).raise_for_status()
    second, _ = begin()
    shown = admin.ask(_PREVIOUS)["previous"]["display"]
    assert shown["nowPlaying"]["post"]["id"] == queue[0]
    assert begin()[1][:3] == queue[:3]
    # The interrupted video is a skipped play; telling it again changes nothing.
    told = player.http.post("/api/displays/FAR001/played", json={"entry": second}).json()
    assert told["video"] == queue[1]
    assert begin()[1][:3] == queue[:3]
    chosen = admin.ask(_NOW, post=queue[2])["playNow"]["display"]["nowPlaying"]
    assert (chosen["post"]["id"], chosen["reason"]) == (queue[2], "kept")
    nodes = admin.ask(_PLAYS)["display"]["plays"]["nodes"]
    plays = [(node["videoId"], node["wasSkipped"]) for node in nodes]
    assert plays == [(queue[0], True), (queue[1], True), (queue[0], False)]
    assert admin.refusal(_NOW, post="s_none")["extensions"]["code"] == "NOT_FOUND"
    assert player.refusal(_NOW, post=queue[0])["extensions"]["code"] == "FORBIDDEN"


@needs_browser
def test_sound_and_place_are_set_from_the_page(page: Page, site: Site) -> None:
    add_demo_posts(site.engine, "crane", 9)
    make_display(site.admin, "SOUND1", newest("crane", 9))
    player = page.context.new_page()
    site.play(player, "SOUND1")
    site.enter(page, "displays/SOUND1")
    told = page.locator("[data-report]")
    # By keyboard, because each video that begins moves the buttons.
    page.get_by_role("button", name="Unmute").press("Enter")
    until(player, "[...document.querySelectorAll('video')].every((video) => !video.muted)")
    page.get_by_role("slider", name="Volume").fill("35")
    until(player, "Math.round(document.querySelector('video.front').volume * 100) === 35")
    page.get_by_role("button", name="Pause").press("Enter")
    until(player, "document.body.dataset.view === 'paused'")
    expect(player.get_by_text("Paused", exact=True)).to_be_visible()
    expect(told).to_contain_text("paused, volume 35 %")
    # How long a video is, is stored some time after it was first shown; then the slider works.
    expect(page.get_by_role("slider", name="Position")).to_be_enabled()
    # A video that is paused stays where it is until the page sends it elsewhere.
    page.get_by_role("slider", name="Position").fill("1.5")
    until(player, "document.querySelector('video.front').currentTime === 1.5")
    expect(page.locator("[data-at]")).to_contain_text("0:01 of")
    page.get_by_role("button", name="From the start").click()
    until(player, "document.querySelector('video.front').currentTime === 0")
    page.get_by_role("button", name="Mute", exact=True).click()
    expect(told).to_contain_text("paused, muted")
    # What a person sets at the player is shown too.
    player.keyboard.press("m")
    expect(told).to_contain_text("paused, volume 35 %")


@needs_browser
def test_a_button_that_is_held_is_not_replaced(page: Page, site: Site) -> None:
    add_demo_posts(site.engine, "egret", 9)
    make_display(site.admin, "HELD01", newest("egret", 9))
    site.enter(page, "displays/HELD01")
    other = page.context.new_page()
    other.goto(page.url)
    page.bring_to_front()
    page.get_by_role("button", name="Pause").hover()
    page.mouse.down()
    site.admin.ask('mutation { unmute(displayId: "HELD01") { display { id } } }')
    expect(other.get_by_role("button", name="Mute", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Unmute")).to_be_visible()
    page.mouse.up()
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    expect(page.get_by_role("button", name="Mute", exact=True)).to_be_visible()


@needs_browser
def test_videos_are_chosen_from_the_page(page: Page, site: Site) -> None:
    add_demo_posts(site.engine, "heron", 9)
    make_display(site.admin, "JUMPS1", newest("heron", 9))
    player = page.context.new_page()
    site.play(player, "JUMPS1")
    site.enter(page, "displays/JUMPS1")
    page.get_by_role("button", name="Pause").press("Enter")
    until(player, "document.body.dataset.view === 'paused'")
    first = player.evaluate("document.body.dataset.video")
    # The page may still show the list of the video before.
    expect(page.locator("[data-report]")).to_contain_text("paused")
    chosen = page.locator("[data-part=next] [data-play-now]").nth(2).get_attribute("data-play-now")
    page.locator(f"[data-part=next] [data-play-now='{chosen}']").focus()
    page.keyboard.press("Enter")
    until(player, f"document.body.dataset.video === '{chosen}'")
    page.get_by_role("button", name="Previous").click()
    until(player, f"document.body.dataset.video === '{first}'")
    page.get_by_role("button", name="Skip").click()
    until(player, f"document.body.dataset.video === '{chosen}'")
    page.locator(f"[data-part=history] [data-play-now='{first}']").first.click()
    until(player, f"document.body.dataset.video === '{first}'")
