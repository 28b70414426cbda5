"""Playlists and time slots as files, in a browser."""

from pathlib import Path

from playwright.sync_api import Page, expect

from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.serving.browsing import Site, add_demo_posts, needs_browser
from sorafeed_assets_tests.serving.client import make_display, newest

pytestmark = needs_browser

_SLOTS = """days,starts,ends,time_zone,first_day,last_day,priority
"Sat, Sun",10:00,18:00,Europe/Vienna,,2030-12-31,2
"""


def test_slots_come_from_a_file_and_go_with_the_playlist(
    page: Page, site: Site, tmp_path: Path
) -> None:
    add_demo_posts(site.engine, "opera house", 9)
    make_display(site.admin, "FILES1", newest("opera house", 3))
    site.enter(page, "displays/FILES1/timetable")
    wrong = {"name": "slots.csv", "mimeType": "text/csv", "buffer": b"days\nMon"}
    form = page.locator("#files form")
    page.locator("[data-slots-file]").set_input_files(wrong)  # type: ignore[arg-type]
    expect(form.locator("textarea")).to_have_value("days\nMon")
    form.get_by_role("button", name="Import").click()
    page.get_by_role("button", name="Replace").click()
    expect(page.locator("#file-problem")).to_contain_text("starts")
    expect(form.locator("textarea")).to_have_value("days\nMon")

    page.wait_for_load_state()  # until the script of the answer has run
    form.locator("textarea").fill(_SLOTS)
    form.get_by_role("button", name="Import").click()
    page.get_by_role("button", name="Replace").click()
    expect(page.locator("#files")).to_contain_text("1 time slot ")
    expect(page.get_by_text("Sat, Sun 10:00-18:00 (Europe/Vienna)").first).to_be_visible()

    page.goto(f"{site.url}/admin/displays/FILES1")
    with page.expect_download() as saved:
        page.get_by_role("link", name="JSON").click()
    file = tmp_path / "copy.json"
    saved.value.save_as(file)
    page.locator("[data-import]").set_input_files(file)
    expect(page.get_by_role("link", name="copy")).to_be_visible()
    assert run(
        site.engine,
        """
        SELECT p.name, s.days, s.priority, p.is_active
        FROM time_slots s JOIN playlists p ON p.id = s.playlist_id
        WHERE p.name = 'copy'
        """,
    )[0][:3] == ("copy", [6, 7], 2)
