"""The admin page in a real browser: from an empty wall to a playing one, and the editor."""

from playwright.sync_api import Page, expect
from sqlalchemy import text

from sorafeed_assets_tests.serving.browsing import Site, add_demo_posts, needs_browser, shows, until
from sorafeed_assets_tests.serving.client import make_display, newest

pytestmark = needs_browser


def test_from_an_empty_wall_to_a_playing_one(page: Page, site: Site) -> None:
    add_demo_posts(site.engine, "cat", 9)
    site.enter(page)
    assert page.url == f"{site.url}/admin"
    shows(page, "There is no display yet")
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
    # Two videos a loop: the fourth belongs to the second loop.
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
    shows(page, "Saved; the display follows")
    stored = site.admin.ask('{ display(id: "EDIT01") { activePlaylist { blocks { search } } } }')
    assert stored["display"]["activePlaylist"]["blocks"] == [
        {"search": "owl 3"}, {"search": "owl"},
    ]  # fmt: skip
    page.locator("[data-import]").set_input_files(
        {"name": "show.csv", "mimeType": "text/csv", "buffer": b"search_term,video_count\nowl,x\n"}
    )
    shows(page, "Line 2, video_count")
    page.locator("[data-import]").set_input_files(
        {"name": "show.csv", "mimeType": "text/csv", "buffer": b"search_term,video_count\nowl,4\n"}
    )
    expect(page.locator(".playlists li.active")).to_contain_text("show")


def test_text_of_posts_and_people_is_never_markup(page: Page, site: Site) -> None:
    hostile = '<img src=x onerror="window.owned=1"><script>window.owned=1</script>'
    with site.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO sora_posts (id, text, posted_at, permalink)"
                " VALUES ('x', :t, now(), 'javascript:1')"
            ),
            {"t": f"fox {hostile}"},
        )
    made = make_display(
        site.admin, "EVIL01", newest("fox", 1), newest(hostile[:40], 1), name=hostile[:90]
    )
    site.admin.ask(
        'mutation ($n: String!) { renameDisplay(id: "EVIL01", name: $n) { problem } }', n=hostile
    )
    assert made["problem"] is None
    site.enter(page)
    shows(page, "onerror")
    page.goto(f"{site.url}/admin/displays/EVIL01")
    shows(page, "fox <img")
    assert page.evaluate("window.owned === undefined")
    assert page.locator("main img, main script, a[href^='javascript']").count() == 0
