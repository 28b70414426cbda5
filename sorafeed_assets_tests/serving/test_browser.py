"""A real browser: the admin page and the player, from an empty wall to a playing one."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from playwright.sync_api import Error as PageError
from sqlalchemy import Engine, text

from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving.clips import make_clip
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.embedded import free_port
from sorafeed_assets_tests.serving.client import Api, make_display, newest, token_of, wait_until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
_STEP = 20_000

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium is installed; on Debian: apt-get install chromium"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # As root in a container there is no sandbox; nothing but our own pages is opened.
        found = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
        )
        yield found
        found.close()


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All clips, drawn once: one stands for all, so that tests spend no time on drawing."""
    folder = tmp_path_factory.mktemp("clips")
    make_clip(folder / "first.webm", "wide", 0)
    for shape in ("wide", "tall"):
        for number in range(6):
            shutil.copy(folder / "first.webm", folder / f"{shape}-{number}.webm")
    return folder


@pytest.fixture
def web(settings: Settings, clips: Path) -> Settings:
    """Settings whose clips are there already."""
    shutil.copytree(clips, settings.data_dir / "clips" / "1")
    return settings


@pytest.fixture
def server(web: Settings) -> Iterator[str]:
    with serving(web, Listening(free_port())) as url:
        yield url


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page on which any error of a script fails the test."""
    errors: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(_STEP)
    opened = context.new_page()
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    context.close()
    assert errors == []


def add_demo_posts(engine: Engine, words: str, count: int) -> None:
    """Posts at the demo's addresses, which the API plays from its clips."""
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


def _data(page: Page, name: str) -> str:
    return str(page.evaluate(f"document.body.dataset.{name} ?? ''"))


_OUTBOX = "JSON.parse(localStorage.getItem('sorafeed:plays:AWAY01'))"
_CLIPS = "performance.getEntriesByType('resource').filter(r => r.name.includes('/clips/'))"


def _until(page: Page, expression: str, value: object = None) -> None:
    """Poll from here: the pages' own policy lets no script evaluate text."""

    def is_so() -> bool:
        page.wait_for_timeout(40)
        try:
            return bool(page.evaluate(expression, value))
        except PageError as error:
            # The page that was asked gives way to the next one, which is asked instead.
            if "Execution context was destroyed" not in str(error):
                raise
            return False

    wait_until(is_so)


def _shows(page: Page, words: str) -> None:
    _until(page, "words => document.body.innerText.includes(words)", words)


def test_from_an_empty_wall_to_a_playing_one(page: Page, server: str, engine: Engine) -> None:
    add_demo_posts(engine, "cat", 9)
    secret = token_of(engine, Role.ADMIN)
    page.goto(f"{server}/admin?token={secret}")
    assert page.url == f"{server}/admin"
    _shows(page, "There is no display yet")
    page.get_by_role("button", name="Add a display").click()
    page.get_by_role("textbox", name="Name").fill("Lobby <b>")
    page.get_by_role("textbox", name="Code").fill("lobby1")
    page.get_by_role("button", name="Add", exact=True).click()
    page.wait_for_url(f"{server}/admin/displays/LOBBY1")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Lobby <b>")

    page.get_by_role("button", name="Add a block").click()
    row = page.locator("[data-block]").first
    row.get_by_label("Search").fill("cat")
    expect(row.locator("[data-total]")).to_have_text("9 posts")
    row.get_by_label("Search").fill("-cat")
    expect(row.get_by_label("Search")).to_have_attribute("aria-invalid", "true")
    row.get_by_label("Search").fill("cat")
    row.get_by_label("Videos").fill("2")
    page.get_by_role("button", name="Add a block").click()
    second = page.locator("[data-block]").nth(1)
    second.get_by_label("Search").fill("unicorn")
    expect(second.locator("[data-total]")).to_have_text("0 posts")
    page.get_by_role("button", name="Save and play").click()
    page.get_by_role("textbox", name="Name", exact=True).fill("Evening")
    page.get_by_role("button", name="OK").click()
    _shows(page, "No post matches “unicorn”")
    expect(page.locator(".playlists")).to_contain_text("active")

    player = page.context.new_page()
    player.goto(f"{server}/player/LOBBY1")
    # Two videos a loop: the fourth belongs to the second loop.
    _until(player, "Number(document.body.dataset.shown) >= 3 && document.body.dataset.loop === '1'")
    _shows(page, "Playing")
    expect(page.locator(".plays li").first).to_be_visible()
    page.goto(f"{server}/admin")
    expect(page.locator("#display-LOBBY1")).to_contain_text("Online")


@pytest.fixture
def playing(page: Page, server: str, engine: Engine) -> Iterator[tuple[Page, Api]]:
    """A player that shows a display of twenty cats, and an admin's client."""
    add_demo_posts(engine, "cat", 20)
    add_demo_posts(engine, "dog", 20)
    admin = Api(server, token_of(engine, Role.ADMIN))
    make_display(admin, "PLAY01", newest("cat", 20))
    page.goto(f"{server}/player/PLAY01?token={token_of(engine, Role.DISPLAY, 'PLAY01')}")
    _until(page, "document.body.dataset.view === 'playing'")
    yield page, admin
    admin.close()


def test_a_skip_an_edit_and_a_pause_reach_the_player(playing: tuple[Page, Api]) -> None:
    page, admin = playing
    first = _data(page, "video")
    admin.ask('mutation { skip(displayId: "PLAY01") { videoId } }')
    _until(page, "was => document.body.dataset.video !== was", first)
    admin.ask('mutation { pause(displayId: "PLAY01") { problem } }')
    _until(page, "document.body.dataset.view === 'paused'")
    assert page.evaluate("document.querySelector('video.front').paused")
    shown = _data(page, "video")
    playlist = admin.ask('{ display(id: "PLAY01") { activePlaylist { id } } }')
    admin.ask(
        "mutation ($id: ID!, $b: [BlockInput!]!) { replaceBlocks(playlistId: $id, blocks: $b)"
        " { problem } }",
        id=playlist["display"]["activePlaylist"]["id"],
        b=[newest("dog", 10)],
    )
    # What is on screen stays there through the edit; what follows is new.
    admin.ask('mutation { play(displayId: "PLAY01") { problem } }')
    _until(page, "document.body.dataset.view === 'playing'")
    assert _data(page, "video") == shown
    _until(page, "document.body.dataset.video.startsWith('dog')")
    admin.ask('mutation { stop(displayId: "PLAY01") { problem } }')
    _until(page, "document.body.dataset.view === 'stopped'")


def test_no_black_frame_and_no_gap_between_two_videos(playing: tuple[Page, Api]) -> None:
    page, _ = playing
    page.evaluate("""() => {
      const canvas = document.createElement("canvas");
      canvas.width = 16; canvas.height = 16;
      const pen = canvas.getContext("2d", { willReadFrequently: true });
      window.seen = { frames: 0, black: 0, still: 0 };
      const look = () => {
        const front = document.querySelector("video.front");
        pen.fillStyle = "black";
        pen.fillRect(0, 0, 16, 16);
        pen.drawImage(front, 0, 0, 16, 16);
        const data = pen.getImageData(0, 0, 16, 16).data;
        let light = 0;
        for (let i = 0; i < data.length; i += 4) light += data[i] + data[i + 1] + data[i + 2];
        window.seen.frames += 1;
        window.seen.black += light < 16 * 16 * 30;
        requestAnimationFrame(look);
      };
      look();
    }""")
    before = int(_data(page, "shown"))
    _until(page, "n => Number(document.body.dataset.shown) >= n + 2", before)
    seen = page.evaluate("window.seen")
    assert seen["frames"] > 10
    assert seen["black"] == 0
    back = page.evaluate("document.querySelector('video:not(.front)').readyState")
    _until(page, "document.querySelector('video:not(.front)').readyState >= 3")
    assert back >= 0


def test_a_broken_file_is_left_after_a_moment(page: Page, server: str, engine: Engine) -> None:
    add_demo_posts(engine, "cat", 6)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE sora_posts SET video_url = :url WHERE id IN ('cat1', 'cat3')"),
            {"url": f"{server}/clips/none.webm"},
        )
    admin = Api(server, token_of(engine, Role.ADMIN))
    make_display(admin, "BROKE1", newest("cat", 6))
    page.goto(f"{server}/player/BROKE1?token={token_of(engine, Role.DISPLAY, 'BROKE1')}")
    _until(page, "document.body.dataset.video === 'cat2'")
    _until(page, "document.body.dataset.video === 'cat4'")
    plays = '{ display(id: "BROKE1") { plays { nodes { videoId wasSkipped } } } }'
    wait_until(lambda: len(admin.ask(plays)["display"]["plays"]["nodes"]) >= 3)
    played = admin.ask(plays)["display"]["plays"]["nodes"]
    assert {"videoId": "cat1", "wasSkipped": True} in played
    assert {"videoId": "cat2", "wasSkipped": False} in played
    admin.close()


def test_the_player_goes_on_while_the_server_is_away(
    page: Page, web: Settings, engine: Engine
) -> None:
    add_demo_posts(engine, "cat", 20)
    port = free_port()
    with serving(web, Listening(port)) as url:
        admin = Api(url, token_of(engine, Role.ADMIN))
        make_display(admin, "AWAY01", newest("cat", 20))
        page.goto(f"{url}/player/AWAY01?token={token_of(engine, Role.DISPLAY, 'AWAY01')}")
        _until(page, "document.body.dataset.view === 'playing'")
        _until(page, f"{_CLIPS}.length >= 2")
        admin.close()
    before = int(_data(page, "shown"))
    _until(page, "n => Number(document.body.dataset.shown) >= n + 2", before)
    assert _data(page, "away") == "1"
    told = page.evaluate(f"{_OUTBOX}.map(p => p.entry)")
    assert len(told) >= 1
    with serving(web, Listening(port)):
        _until(page, "document.body.dataset.away === '0'")
        _until(page, f"{_OUTBOX}.length === 0")
        with engine.connect() as connection:
            recorded = set(
                connection.scalars(text("SELECT timeline_video_id::text FROM video_history"))
            )
    assert set(told) <= recorded


def test_the_editor_works_by_keyboard_and_by_dragging(
    page: Page, server: str, engine: Engine
) -> None:
    add_demo_posts(engine, "cat", 9)
    admin = Api(server, token_of(engine, Role.ADMIN))
    make_display(admin, "EDIT01", newest("cat", 1), newest("cat 2", 2), newest("cat 3", 3))
    page.goto(f"{server}/admin?token={token_of(engine, Role.ADMIN)}")
    page.get_by_role("link", name="Display EDIT01").click()
    searches = "[...document.querySelectorAll('[data-block] [name=search]')].map(i => i.value)"
    page.locator("[data-grip]").first.focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate(searches) == ["cat 2", "cat", "cat 3"]
    grip = page.locator("[data-grip]").nth(2).bounding_box()
    first = page.locator("[data-block]").first.bounding_box()
    assert grip is not None
    assert first is not None
    page.mouse.move(grip["x"] + 5, grip["y"] + 5)
    page.mouse.down()
    page.mouse.move(grip["x"] + 5, first["y"] + 4, steps=6)
    page.mouse.up()
    assert page.evaluate(searches) == ["cat 3", "cat 2", "cat"]
    page.get_by_role("button", name="Remove this block").nth(1).click()
    page.get_by_role("button", name="Save", exact=True).click()
    _shows(page, "Saved; the display follows")
    stored = admin.ask('{ display(id: "EDIT01") { activePlaylist { blocks { search } } } }')
    assert stored["display"]["activePlaylist"]["blocks"] == [
        {"search": "cat 3"}, {"search": "cat"},
    ]  # fmt: skip
    page.locator("[data-import]").set_input_files(
        {"name": "show.csv", "mimeType": "text/csv", "buffer": b"search_term,video_count\ncat,x\n"}
    )
    _shows(page, "Line 2, video_count")
    page.locator("[data-import]").set_input_files(
        {"name": "show.csv", "mimeType": "text/csv", "buffer": b"search_term,video_count\ncat,4\n"}
    )
    expect(page.locator(".playlists li.active")).to_contain_text("show")
    admin.close()


def test_text_of_posts_and_people_is_never_markup(page: Page, server: str, engine: Engine) -> None:
    hostile = '<img src=x onerror="window.owned=1"><script>window.owned=1</script>'
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO sora_posts (id, text, posted_at, permalink)"
                " VALUES ('x', :t, now(), 'javascript:1')"
            ),
            {"t": f"cat {hostile}"},
        )
    admin = Api(server, token_of(engine, Role.ADMIN))
    made = make_display(
        admin, "EVIL01", newest("cat", 1), newest(hostile[:40], 1), name=hostile[:90]
    )
    admin.ask(
        'mutation ($n: String!) { renameDisplay(id: "EVIL01", name: $n) { problem } }', n=hostile
    )
    assert made["problem"] is None
    page.goto(f"{server}/admin?token={token_of(engine, Role.ADMIN)}")
    _shows(page, "onerror")
    page.goto(f"{server}/admin/displays/EVIL01")
    _shows(page, "cat <img")
    assert page.evaluate("window.owned === undefined")
    assert page.locator("main img, main script, a[href^='javascript']").count() == 0
    admin.close()
