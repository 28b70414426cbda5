"""Many displays on the overview in a real browser: chosen by tag, changed together."""

import re

from playwright.sync_api import Browser, Dialog, Page, Route, expect

from sorafeed_assets_tests.serving.browsing import (
    Site,
    add_demo_posts,
    needs_browser,
    shows,
    watched_page,
)
from sorafeed_assets_tests.serving.client import CREATE_DISPLAY, make_display, newest, wait_until

pytestmark = needs_browser

_TAG = """
mutation ($ids: [ID!]!) {
  tagDisplays(displayIds: $ids, add: ["hall"]) { results { problem } }
}
"""
_STATES = (
    '{ displays(tag: "hall", first: 100) { nodes { id playbackState activePlaylist { name } } } }'
)


def _tagged(site: Site) -> dict[str, tuple[str, str | None]]:
    """The tagged displays: code → (state, name of the active playlist)."""
    nodes = site.admin.ask(_STATES)["displays"]["nodes"]
    return {
        node["id"]: (node["playbackState"], (node["activePlaylist"] or {}).get("name"))
        for node in nodes
    }


def test_displays_are_chosen_by_tag_and_changed_together(page: Page, site: Site) -> None:
    add_demo_posts(site.engine, "finch", 9)
    make_display(site.admin, "MANY00", newest("finch", 2), name="Birds")
    codes = [f"MANY0{n}" for n in range(1, 5)]
    for code in codes:
        site.admin.ask(CREATE_DISPLAY, name=f"Display {code}", id=code)
    site.admin.ask(_TAG, ids=codes[:3])
    site.enter(page)
    bar = page.get_by_role("region", name="Selected displays")
    expect(bar).to_be_hidden()
    page.get_by_label("Show displays with a tag").select_option("hall")
    expect(page.locator("#display-MANY04")).to_be_hidden()
    page.get_by_label("Select Display MANY01").check()
    expect(bar).to_contain_text("1 selected")
    bar.get_by_role("button", name="Select all shown").click()
    expect(bar).to_contain_text("3 selected")

    bar.get_by_role("button", name="Copy a playlist").click()
    dialog, offered = page.locator("#many-copy"), page.locator("[data-playlists]")
    expect(dialog.get_by_role("heading")).to_have_text("Copy a playlist to 3 displays")
    expect(offered).to_have_text("Enter the display first")
    page.get_by_label("From display").fill("MANY0")
    expect(offered).to_have_text("No display has this code or name")
    page.get_by_label("From display").fill("Display MANY04")
    expect(offered).to_have_text("It has no playlists")
    # The field is not left: its playlists are there as soon as the display is named.
    page.get_by_label("From display").fill("many00")
    expect(offered).to_have_text("Birds (active)")
    page.get_by_role("button", name="Copy and play").click()
    shows(page, "3 of 3 done.")
    assert _tagged(site) == dict.fromkeys(codes[:3], ("PLAYING", "Birds"))
    # The cards were reloaded, and stay selected.
    expect(page.locator("#display-MANY01")).to_contain_text("Birds")
    expect(bar).to_contain_text("3 selected")
    bar.get_by_role("button", name="Pause").click()
    shows(page, "Paused:")
    assert {state for state, _ in _tagged(site).values()} == {"PAUSED"}

    # Each that cannot be changed is named with its reason; the others are changed.
    site.admin.ask('mutation { deleteDisplay(id: "MANY03") { id } }')
    expect(page.locator("#display-MANY03")).to_have_count(0)
    expect(bar).to_contain_text("2 selected")
    bar.get_by_role("button", name="Activate").click()
    page.get_by_label("Name of the playlist").fill("Fish")
    page.locator("#many-activate").get_by_role("button", name="Activate").click()
    expect(page.locator("#many-results")).to_contain_text("MANY01")
    expect(page.locator("#many-results")).to_contain_text("2 not done")
    page.locator("#many-results").get_by_role("button", name="Close").click()

    bar.get_by_role("button", name="Delete").click()
    expect(page.locator("#many-delete")).to_contain_text("Delete 2 displays?")
    expect(page.locator("#many-delete")).to_contain_text("MANY01, MANY02")
    page.locator("#many-delete").get_by_role("button", name="Delete").click()
    expect(page.locator("#display-MANY01")).to_have_count(0)
    expect(page.get_by_label("Show displays with a tag")).to_be_hidden()
    expect(page.locator("#display-MANY04")).to_be_visible()
    assert _tagged(site) == {}


def test_deleting_many_says_in_red_which_are_in_use(
    page: Page, browser: Browser, site: Site
) -> None:
    add_demo_posts(site.engine, "heron", 9)
    for code in ("USED01", "USED02"):
        make_display(site.admin, code, newest("heron", 2))
    with watched_page(browser) as screen:
        site.play(screen, "USED02")
        site.enter(page)
        expect(page.locator("#display-USED02")).to_contain_text("Online")
        for code, used in (("USED01", False), ("USED02", True)):
            page.get_by_label(f"Select Display {code}").check()
            page.locator("[data-open=many-delete]").click()
            warning = page.locator("#many-delete [data-many-used]")
            if used:
                expect(warning).to_have_text("In use: the screen of USED02 is online.")
                expect(warning).to_have_class("refusal")
            else:
                expect(page.locator("#many-delete")).to_contain_text("Delete 1 display?")
                expect(warning).to_be_hidden()
            page.locator("#many-delete").get_by_role("button", name="Cancel").click()


def test_filters_are_in_the_address_and_come_back(page: Page, site: Site) -> None:
    add_demo_posts(site.engine, "robin", 9)
    make_display(site.admin, "FIND01", newest("robin", 2), name="Late show")
    make_display(site.admin, "FIND02", newest("robin", 2), name="Morning show")
    site.admin.ask('mutation { renameDisplay(id: "FIND01", name: "Upper hall") { problem } }')
    site.enter(page)
    find, cards = page.get_by_label("Find a display"), page.locator(".card:visible")
    # Words of the name and of the playlist, in any order.
    find.fill("SHOW up")
    expect(cards).to_have_count(1)
    expect(cards).to_have_attribute("data-code", "FIND01")
    find.fill("show find")
    expect(cards).to_have_count(2)
    page.get_by_label("Sort by").select_option("name")
    assert [card.get_attribute("data-code") for card in cards.all()] == ["FIND02", "FIND01"]
    assert page.url.endswith("?find=show+find&sort=name")
    page.get_by_role("link", name="Upper hall").click()
    page.wait_for_url("**/admin/displays/FIND01")
    page.go_back()
    expect(find).to_have_value("show find")
    assert [card.get_attribute("data-code") for card in cards.all()] == ["FIND02", "FIND01"]
    # A copied link shows the same.
    page.goto(f"{site.url}/admin?find=hall+upper&show=online")
    expect(cards).to_have_count(0)
    expect(page.get_by_text("No display matches.")).to_be_visible()
    page.goto(f"{site.url}/admin?find=hall+upper")
    expect(cards).to_have_count(1)


def test_a_template_is_edited_once(page: Page, site: Site) -> None:
    add_demo_posts(site.engine, "wren", 9)
    for code in ("TEMP01", "TEMP02"):
        site.admin.ask(CREATE_DISPLAY, name=f"Display {code}", id=code)
    site.enter(page, "templates")
    page.get_by_role("textbox", name="Name").fill("Weekend")
    page.get_by_label("Blocks, one a line").fill("search_term,video_count\nwren,2\n-no,1")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("alert")).to_contain_text("Line 3: the search has only exclusions")
    page.get_by_label("Blocks, one a line").fill("search_term,video_count\nwren,2")
    page.get_by_role("button", name="Add").click()
    shows(page, "No display follows it yet")
    page.goto(f"{site.url}/admin")
    for code in ("TEMP01", "TEMP02"):
        page.get_by_label(f"Select Display {code}").check()
    page.get_by_role("button", name="Follow a template").click()
    expect(page.locator("[data-templates]")).to_contain_text("Weekend")
    page.get_by_role("button", name="Follow", exact=True).click()
    shows(page, "2 of 2 done.")
    page.goto(f"{site.url}/admin/templates")
    shows(page, "Followed by 2")
    page.get_by_label("Blocks, one a line").first.fill("search_term,video_count\nwren,3")
    page.get_by_role("button", name="Save for all").click()
    expect(page.get_by_label("Blocks, one a line").first).to_have_value(re.compile("wren,3"))
    query = "query ($id: ID!) { display(id: $id) { activePlaylist { blocks { videoCount } } } }"
    for code in ("TEMP01", "TEMP02"):
        found = site.admin.ask(query, id=code)["display"]["activePlaylist"]["blocks"]
        assert [block["videoCount"] for block in found] == [3]
    page.goto(f"{site.url}/admin/displays/TEMP02")
    shows(page, "It follows the template “Weekend”.")
    expect(page.get_by_label("Search", exact=True).first).to_be_disabled()
    expect(page.get_by_role("button", name="Save", exact=True)).to_have_count(0)
    page.get_by_role("button", name="Detach").click()
    page.locator("#ask").get_by_role("button", name="Detach").click()
    expect(page.get_by_role("button", name="Detach")).to_have_count(0)
    page.locator("[data-block] [name=videoCount]").first.fill("4")
    page.get_by_role("button", name="Save", exact=True).click()
    shows(page, "Saved. The display is updated.")
    page.goto(f"{site.url}/admin/templates")
    shows(page, "Followed by 1")
    page.get_by_role("button", name="Delete").click()
    expect(page.locator("#ask")).to_contain_text("Delete the template “Weekend”?")
    expect(page.locator("#ask")).to_contain_text("1 display no longer follows it")
    page.locator("#ask").get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", name="Weekend")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    page.locator("#ask").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Weekend")).to_have_count(0)


def test_edits_of_forms_are_not_lost_without_asking(browser: Browser, site: Site) -> None:
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    page = browser.new_page()
    page.on("dialog", stay)
    site.enter(page, "templates")
    text = "search_term,video_count\nwren,2"
    page.get_by_label("Blocks, one a line").last.fill(text)
    page.get_by_role("link", name="Displays").click()
    wait_until(lambda: page.evaluate("true") and asked == ["beforeunload"])
    expect(page.get_by_label("Blocks, one a line").last).to_have_value(text)
    # What is sent is not asked about.
    page.get_by_role("textbox", name="Name").last.fill("Evening")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("heading", name="Evening")).to_be_visible()
    assert asked == ["beforeunload"]
    page.close()


def test_a_form_that_asks_is_held_until_its_script_has_run(
    page: Page, browser: Browser, site: Site
) -> None:
    create = """mutation { createTemplate(name: "Held", blocks: [{search: "wren", videoCount: 2}])
        { template { id } } }"""
    site.admin.ask(create)
    site.enter(page)
    held: list[Route] = []
    page.route("**/static/asking.js", lambda route: held.append(route))
    page.goto(f"{site.url}/admin/templates", wait_until="commit")
    template = page.locator(".panel", has=page.get_by_role("heading", name="Held"))
    template.get_by_role("button", name="Delete").click()
    expect(page.locator("#ask")).to_be_hidden()
    wait_until(lambda: bool(held))
    held[0].continue_()
    expect(page.locator("#ask")).to_contain_text("Delete the template “Held”?")
    page.locator("#ask").get_by_role("button", name="Cancel").click()
    expect(template).to_be_visible()

    # Without scripts nothing asks, and the form is sent.
    context = browser.new_context(java_script_enabled=False)
    plain = context.new_page()
    site.enter(plain, "templates")
    template = plain.locator(".panel", has=plain.get_by_role("heading", name="Held"))
    template.get_by_role("button", name="Delete").click()
    expect(template).to_have_count(0)
    context.close()
