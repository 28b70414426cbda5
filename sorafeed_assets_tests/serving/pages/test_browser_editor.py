"""The editor in a real browser: nothing is lost, and a preview is what saving then gives."""

import pytest
from playwright.sync_api import Page, Route, expect

from sorafeed_assets_tests.serving.browsing import Site, add_demo_posts, needs_browser, shows
from sorafeed_assets_tests.serving.client import CREATE_PLAYLIST, make_display, newest

pytestmark = needs_browser

SEARCHES = "[...document.querySelectorAll('[data-block] [name=search]')].map(i => i.value)"
PLANNED = """
query ($id: ID!) {
  display(id: $id) {
    nowPlaying { videoId } queue { videoId } plan(first: 20) { nodes { videoId } }
    playlists { nodes { name isActive } }
  }
}
"""


@pytest.fixture(scope="module")
def filled(site: Site) -> Site:
    add_demo_posts(site.engine, "hare", 9)
    add_demo_posts(site.engine, "lynx", 9)
    return site


def _playlists(site: Site, code: str) -> dict[str, bool]:
    found = site.admin.ask(PLANNED, id=code)["display"]["playlists"]["nodes"]
    return {each["name"]: each["isActive"] for each in found}


def _two_playlists(site: Site, code: str) -> None:
    make_display(site.admin, code, newest("hare", 2), newest("hare 3", 1), name="Day")
    site.admin.ask(CREATE_PLAYLIST, display=code, name="Night", blocks=[newest("lynx", 2)])


def test_an_unsaved_edit_is_asked_about_before_it_is_lost(page: Page, filled: Site) -> None:
    _two_playlists(filled, "KEEP01")
    filled.enter(page, "displays/KEEP01")
    page.locator("[data-block] [name=search]").fill("lynx 2")
    expect(page.get_by_role("button", name="Save", exact=True)).to_be_enabled()
    csv = b"search_term,video_count\nhare,4\n"
    asks = page.get_by_role("heading", name="Discard your unsaved changes?")
    for number in range(2):
        if number:
            page.locator("[data-import]").set_input_files(
                {"name": "show.csv", "mimeType": "text/csv", "buffer": csv}
            )
        else:
            page.get_by_role("button", name="Activate").click()
        expect(asks).to_be_visible()
        page.get_by_role("button", name="Keep editing").click()
        assert page.evaluate(SEARCHES) == ["lynx 2"]
    assert _playlists(filled, "KEEP01") == {"Night": True, "Day": False}
    # A file that is refused is said before the edit is asked about.
    for name, wrong, problem in (
        ("show.csv", b"search_term,video_count\n-no,4\n", "Line 2: the search has only exclusions"),
        (
            "show.json",
            b'{"blocks": [{"search_term": "-no", "video_count": 4}]}',
            "Block 1: the search has only exclusions",
        ),
    ):
        page.locator("[data-import]").set_input_files(
            {"name": name, "mimeType": "text/plain", "buffer": wrong}
        )
        expect(page.locator("[data-import-refusal]")).to_contain_text(problem)
        expect(asks).to_be_hidden()
    # Leaving the page asks the browser to ask.
    stops = "!dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    assert page.evaluate(stops)
    page.get_by_role("button", name="Activate").click()
    page.get_by_role("button", name="Discard").click()
    expect(page.locator(".playlists li.active")).to_contain_text("Day")
    assert not page.evaluate(stops)


def test_an_edit_before_the_script_has_come_is_an_edit(page: Page, filled: Site) -> None:
    _two_playlists(filled, "SOON01")
    filled.enter(page, "displays/SOON01")
    held: list[Route] = []
    page.route("**/static/display.js", lambda route: held.append(route))
    page.reload(wait_until="commit")
    page.locator("[data-block] [name=search]").fill("lynx 2")
    save = page.get_by_role("button", name="Save", exact=True)
    expect(save).to_be_disabled()
    held[0].continue_()
    expect(save).to_be_enabled()


def test_removed_blocks_come_back(page: Page, filled: Site) -> None:
    make_display(filled.admin, "UNDO01", newest("hare", 1), newest("lynx", 2), newest("hare 3", 3))
    filled.enter(page, "displays/UNDO01")
    remove = page.get_by_role("button", name="Remove this block")
    remove.nth(1).click()
    remove.nth(0).click()
    assert page.evaluate(SEARCHES) == ["hare 3"]
    page.keyboard.press("Control+z")
    assert page.evaluate(SEARCHES) == ["hare", "hare 3"]
    page.get_by_role("button", name="Undo: restore “lynx”").click()
    assert page.evaluate(SEARCHES) == ["hare", "lynx", "hare 3"]
    expect(page.get_by_role("button", name="Save", exact=True)).to_be_disabled()
    expect(page.locator("[data-undo]")).to_be_hidden()


def test_what_is_deleted_is_named_and_comes_back(page: Page, filled: Site) -> None:
    _two_playlists(filled, "GONE01")
    filled.enter(page, "displays/GONE01")
    dialog = page.locator("#ask")
    page.get_by_role("button", name="Delete Day").click()
    expect(dialog).to_contain_text("Delete the playlist “Day”?")
    expect(dialog.locator("[data-ask-warning]")).to_be_hidden()
    page.get_by_role("button", name="Cancel").click()

    page.get_by_role("button", name="Delete Night").click()
    expect(dialog).to_contain_text("will switch to its newest other playlist.")
    dialog.get_by_role("button", name="Delete").click()
    expect(page.locator("[data-toasts]")).to_contain_text("“Night” is deleted.")
    assert _playlists(filled, "GONE01") == {"Day": True}
    page.get_by_role("button", name="Delete Day").click()
    expect(dialog).to_contain_text("will show nothing, because it has no other.")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(page.locator(".playlists li.active")).to_contain_text("Night")
    assert _playlists(filled, "GONE01") == {"Night": True, "Day": False}

    # The display, and later.
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.locator("#delete .refusal").first).to_contain_text("plays “Night”")
    page.locator("#delete").get_by_role("button", name="Delete").click()
    page.wait_for_url(f"{filled.url}/admin")
    expect(page.locator("#display-GONE01")).to_have_count(0)
    page.reload()
    page.get_by_text("Deleted displays").click()
    page.get_by_role("button", name="Restore Display GONE01").click()
    page.wait_for_url(f"{filled.url}/admin/displays/GONE01")
    assert _playlists(filled, "GONE01") == {"Night": True, "Day": False}


def test_a_preview_is_what_saving_then_gives(page: Page, filled: Site) -> None:
    make_display(filled.admin, "VIEW01", newest("hare", 2), newest("lynx", 1))
    filled.enter(page, "displays/VIEW01")
    page.get_by_role("button", name="Add a block").click()
    row = page.locator("[data-block]").last
    row.get_by_label("Search").fill("lynx")
    row.get_by_label("Which").select_option("random")
    row.get_by_label("Videos").fill("6")
    page.get_by_role("button", name="Add a block").click()
    page.keyboard.insert_text("unicorn")
    page.get_by_role("button", name="Preview").click()
    draft = page.locator("[data-draft]")
    expect(draft).to_contain_text("No post matches “unicorn”")
    expect(draft).to_contain_text("The next 3 videos stay; the plan changes from video 4 of loop 1")
    seen = draft.locator(".compared-plans > div").first.locator("li .text").all_inner_texts()
    assert len(seen) == 10
    page.get_by_role("button", name="Save", exact=True).click()
    shows(page, "Saved. The display is updated.")
    display = filled.admin.ask(PLANNED.replace("videoId", "post { text }"), id="VIEW01")["display"]
    plays = [*display["queue"], *display["plan"]["nodes"]]
    assert [video["post"]["text"] for video in plays][:9] == seen[:9]


def test_inactive_playlists_are_opened_renamed_and_duplicated(page: Page, filled: Site) -> None:
    _two_playlists(filled, "OPEN01")
    filled.enter(page, "displays/OPEN01")
    page.get_by_role("link", name="Day").click()
    expect(page.locator("#editor-title")).to_have_text("Playlist: Day")
    page.wait_for_load_state()  # until its script has run
    assert page.evaluate(SEARCHES) == ["hare", "hare 3"]
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("[data-draft]")).to_contain_text("after you activate the playlist")
    page.locator("[data-block] [name=videoCount]").first.fill("3")
    page.get_by_role("button", name="Save", exact=True).click()
    shows(page, "Saved. The display plays it after you activate it.")
    page.get_by_role("button", name="Rename the playlist").last.click()
    page.get_by_role("textbox", name="Name", exact=True).fill("Noon")
    page.locator("#ask").get_by_role("button", name="Rename").click()
    expect(page.locator("[data-playlist-name]")).to_have_text("Noon")
    expect(page.locator(".playlists")).to_contain_text("Noon")
    page.get_by_role("button", name="Duplicate").last.click()
    page.locator("#ask").get_by_role("button", name="Duplicate").click()
    expect(page.locator("#editor-title")).to_have_text("Playlist: Copy of Noon")
    assert page.evaluate(SEARCHES) == ["hare", "hare 3"]
    assert _playlists(filled, "OPEN01") == {"Night": True, "Noon": False, "Copy of Noon": False}


def test_a_broken_picture_is_replaced(page: Page, filled: Site) -> None:
    with filled.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE sora_posts SET thumbnail_url = CASE WHEN id LIKE 'hare%%'"
            " THEN 'https://videos.example.invalid/thumb.webp'"
            " ELSE 'https://127.0.0.1:9/missing.webp' END"
        )
    make_display(filled.admin, "PICS01", newest("hare", 2), newest("lynx", 2))
    filled.enter(page, "displays/PICS01")
    expect(page.locator("[data-part=next] .poster")).to_have_count(8)
    expect(page.locator("[data-part=next] .poster img")).to_have_count(4)
    assert page.evaluate(
        "[...document.querySelectorAll('[data-poster]')].every(i => i.loading === 'lazy')"
    )
