"""The admin page in a real browser: from no display to a playing one, and the editor."""

from playwright.sync_api import APIResponse, Browser, Page, Route, expect
from sqlalchemy import text

from sorafeed_assets.services.counts.typeahead import MOST_COUNTED
from sorafeed_assets_tests.serving.browsing import (
    Site,
    add_demo_posts,
    needs_browser,
    shows,
    until,
    watched_page,
)
from sorafeed_assets_tests.serving.client import make_display, newest, wait_until

pytestmark = needs_browser


def test_from_no_display_to_a_playing_one(page: Page, site: Site) -> None:
    add_demo_posts(site.engine, "cat", 9)
    site.enter(page)
    assert page.url == f"{site.url}/admin"
    shows(page, "There are no displays yet")
    page.get_by_role("button", name="Add a display").click()
    page.get_by_role("textbox", name="Name").fill("Lobby <b>")
    page.get_by_role("textbox", name="Code").fill("lobby1")
    page.get_by_role("button", name="Add", exact=True).click()
    page.wait_for_url(f"{site.url}/admin/displays/LOBBY1")
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
    shows(page, "No post matches “unicorn”")
    expect(page.locator(".playlists")).to_contain_text("active")

    player = page.context.new_page()
    player.goto(f"{site.url}/player/LOBBY1")
    # Two videos per loop: the fourth belongs to the second loop.
    until(player, "Number(document.body.dataset.shown) >= 3 && document.body.dataset.loop === '1'")
    shows(page, "Playing")
    expect(page.locator(".plays li").first).to_be_visible()
    page.goto(f"{site.url}/admin")
    expect(page.locator("#display-LOBBY1")).to_contain_text("Online")


def test_the_editor_works_by_keyboard_and_by_dragging(page: Page, site: Site) -> None:
    add_demo_posts(site.engine, "owl", 9)
    make_display(site.admin, "EDIT01", newest("owl", 1), newest("owl 2", 2), newest("owl 3", 3))
    site.enter(page)
    page.get_by_role("link", name="Display EDIT01").click()
    page.wait_for_url(f"{site.url}/admin/displays/EDIT01")  # and until its script has run
    searches = "[...document.querySelectorAll('[data-block] [name=search]')].map(i => i.value)"
    page.locator("[data-grip]").first.focus()
    page.keyboard.press("ArrowDown")
    assert page.evaluate(searches) == ["owl 2", "owl", "owl 3"]
    grip = page.locator("[data-grip]").nth(2).bounding_box()
    first = page.locator("[data-block]").first.bounding_box()
    assert grip is not None
    assert first is not None
    page.mouse.move(grip["x"] + 5, grip["y"] + 5)
    page.mouse.down()
    page.mouse.move(grip["x"] + 5, first["y"] + 4, steps=6)
    page.mouse.up()
    assert page.evaluate(searches) == ["owl 3", "owl 2", "owl"]
    page.get_by_role("button", name="Remove this block").nth(1).click()
    page.get_by_role("button", name="Save", exact=True).click()
    shows(page, "Saved. The display is updated.")
    stored = site.admin.ask('{ display(id: "EDIT01") { activePlaylist { blocks { search } } } }')
    assert stored["display"]["activePlaylist"]["blocks"] == [
        {"search": "owl 3"}, {"search": "owl"},
    ]  # fmt: skip
    page.locator("[data-import]").set_input_files(
        {"name": "show.csv", "mimeType": "text/csv", "buffer": b"search_term,video_count\nowl,x\n"}
    )
    shows(page, "Line 2: the number of videos is 'x'; write a whole number.")
    page.locator("[data-import]").set_input_files(
        {"name": "show.csv", "mimeType": "text/csv", "buffer": b"search_term,video_count\nowl,4\n"}
    )
    expect(page.locator(".playlists li.active")).to_contain_text("show")


def test_a_change_whose_answer_is_lost_is_sent_again_and_happens_once(
    page: Page, site: Site
) -> None:
    lost: list[APIResponse] = []

    def lose_the_first(route: Route) -> None:
        if lost:
            route.continue_()
        else:
            lost.append(route.fetch())
            route.abort()

    site.enter(page)
    page.route("**/graphql", lose_the_first)
    page.get_by_role("button", name="Add a display").click()
    page.get_by_role("textbox", name="Name").fill("Added once")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Added once")
    assert "errors" not in lost[0].json()
    found = site.admin.ask('{ displays(search: "Added once") { nodes { id } } }')
    assert len(found["displays"]["nodes"]) == 1


_TOLD = """() => {
  const output = document.querySelector("[data-block]:last-child [data-total]");
  window.told = [];
  new MutationObserver(() => {
    if (output.textContent !== window.told.at(-1)) window.told.push(output.textContent);
  }).observe(output, { childList: true });
}"""


def test_a_large_count_is_bounded_first_and_exact_by_itself(page: Page, site: Site) -> None:
    add_demo_posts(site.engine, "many", MOST_COUNTED + 50)
    make_display(site.admin, "MANY01", newest("nothing", 1))
    site.enter(page, "displays/MANY01")
    page.get_by_role("button", name="Add a block").click()
    page.evaluate(_TOLD)
    page.keyboard.insert_text("many")
    row = page.locator("[data-block]").last
    expect(row.locator("[data-total]")).to_have_text("10,050 posts")
    assert page.evaluate("window.told") == ["…", "at least 10,001", "10,050 posts"]


def test_a_count_that_takes_long_blocks_nothing_else(page: Page, site: Site) -> None:
    add_demo_posts(site.engine, "newt", 7)
    make_display(site.admin, "LONG01", newest("newt", 2))
    counted = '{ terms(search: "newt") { nodes { total } } }'
    wait_until(lambda: site.admin.ask(counted)["terms"]["nodes"] == [{"total": 7}])
    site.enter(page, "displays/LONG01")
    rows = page.locator("[data-block]")
    with site.engine.begin() as connection:
        # The catalogue cannot be read meanwhile: every count takes too long.
        connection.execute(text("LOCK TABLE sora_posts IN ACCESS EXCLUSIVE MODE"))
        page.get_by_role("button", name="Add a block").click()
        page.evaluate(_TOLD)
        page.keyboard.insert_text("newt -x")
        expect(rows.nth(1).locator("[data-total]")).to_have_text("counting…")
        # Known counts are shown meanwhile, and everything can be edited.
        rows.nth(0).get_by_label("Search").fill("NEWT")
        expect(rows.nth(0).locator("[data-total]")).to_have_text("7 posts")
        rows.nth(1).get_by_label("Videos").fill("5")
        expect(page.get_by_role("button", name="Save", exact=True)).to_be_enabled()
    expect(rows.nth(1).locator("[data-total]")).to_have_text("7 posts")
    assert page.evaluate("window.told") == ["…", "counting…", "7 posts"]


# If any of it became an element, it would be one of these.
_HOSTILE = '"><img src=x onerror=alert(1)></p></title><script>alert(1)</script>{{ 7 * 7 }}'
_MADE = """document.querySelectorAll(
  "img:not([data-poster]), iframe, :not(head) > script, a[href^=javascript]").length"""


def test_text_of_posts_and_people_is_never_markup(browser: Browser, site: Site) -> None:
    with site.engine.begin() as connection:
        connection.execute(
            text("INSERT INTO creators (id, username, display_name) VALUES ('c', 'c', :t)"),
            {"t": _HOSTILE},
        )
        connection.execute(
            text(
                "INSERT INTO sora_posts (id, creator_id, text, posted_at, video_url, permalink)"
                " SELECT 'x' || n, 'c', 'fox ' || n || :t, now() - n * interval '1 min',"
                " 'https://videos.example.invalid/1.mp4', 'javascript:alert(1)'"
                " FROM generate_series(1, 9) n"
            ),
            {"t": _HOSTILE},
        )
    blocks = [newest("fox", 8), newest(f"no {_HOSTILE}", 1)]
    make_display(site.admin, "EVIL01", *blocks, name=_HOSTILE)
    site.admin.ask(
        'mutation ($n: String!) { renameDisplay(id: "EVIL01", name: $n) { problem } }', n=_HOSTILE
    )
    site.admin.ask('mutation { skip(displayId: "EVIL01") { videoId } }')
    # Without the content security policy, which would stop a script that got in.
    with watched_page(browser, bypass_csp=True) as page:
        player = page.context.new_page()
        site.play(player, "EVIL01")
        expect(player.locator("[data-text]")).to_contain_text(_HOSTILE)
        expect(player.locator("[data-place]")).to_contain_text(_HOSTILE)
        site.enter(page)
        card = page.locator("#display-EVIL01")
        for place in ("h3", ".now", ".problem", ".list"):
            expect(card.locator(place)).to_contain_text(_HOSTILE)
        assert page.evaluate(_MADE) == 0

        page.goto(f"{site.url}/admin/displays/EVIL01")
        expect(page).to_have_title(f"{_HOSTILE} · Sorafeed")
        places = (
            "h1", "[data-playlist-name]", ".playlists li", "[data-part=stage] .text", ".problem",
            "[data-part=next] .text", "[data-part=history] .text",
        )  # fmt: skip
        for place in places:
            expect(page.locator(place).first).to_contain_text(_HOSTILE)
        expect(page.get_by_label("Search").last).to_have_value(f"no {_HOSTILE}")
        # Reloaded parts, and text in dialogs and messages.
        page.get_by_role("button", name="Pause").click()
        expect(page.locator("[data-part=stage]")).to_contain_text("Paused")
        page.locator("[data-delete-playlist]").click()
        expect(page.locator("#ask-title")).to_contain_text(_HOSTILE)
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Delete", exact=True).click()
        expect(page.locator("#delete-title")).to_contain_text(_HOSTILE)
        page.keyboard.press("Escape")
        csv = b"search_term,video_count,format\nfox,1,<img src=x>\n"
        page.locator("[data-import]").set_input_files(
            {"name": "a.csv", "mimeType": "text/csv", "buffer": csv}
        )
        expect(page.locator("[data-import-refusal]")).to_contain_text("<img src=x")
        assert page.evaluate(_MADE) == 0
        assert player.evaluate(_MADE) == 0


def test_a_screen_is_connected_by_its_code(page: Page, browser: Browser, site: Site) -> None:
    add_demo_posts(site.engine, "heron", 9)
    make_display(site.admin, "CODE01", newest("heron", 3))
    with watched_page(browser) as screen:
        screen.goto(f"{site.url}/player")
        until(screen, "document.body.dataset.code")
        code = screen.get_by_role("heading").inner_text()
        expect(screen.get_by_role("img", name="QR code")).to_be_visible()
        until(screen, "document.querySelector('[data-qr]').naturalWidth > 0")
        site.enter(page)
        page.get_by_role("link", name="Connect a screen").click()
        page.get_by_role("textbox", name="Code on the screen").fill(code)
        page.get_by_role("combobox", name="Display").fill("CODE01")
        page.get_by_role("button", name="Connect").click()
        page.wait_for_url(f"{site.url}/admin/displays/CODE01/screens")
        until(screen, "document.body.dataset.view === 'playing'")
        assert screen.url == f"{site.url}/player/CODE01"
        page.get_by_role("button", name="Revoke screen at").click()
        expect(page.locator("#ask")).to_contain_text("has to be connected again")
        page.locator("#ask").get_by_role("button", name="Revoke").click()
        expect(page.get_by_text("1 revoked")).to_be_visible()
        screen.goto(f"{site.url}/player")
        until(screen, "document.body.dataset.code")
        assert screen.get_by_role("heading").inner_text() != code
