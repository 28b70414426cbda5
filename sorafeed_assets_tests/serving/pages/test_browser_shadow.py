"""The page about comparing with the old system in a real browser: its plots and its links."""

from playwright.sync_api import Page, expect

from sorafeed_assets.domain.shadow.outcome import Finding, Outcome
from sorafeed_assets.storage.shadow.comparisons import COUNT, QUEUE, Compared, store
from sorafeed_assets_tests.serving.browsing import Site, needs_browser

pytestmark = needs_browser


def test_a_line_for_each_display_and_a_plot_of_all(page: Page, site: Site) -> None:
    same = Finding(Outcome.SAME)
    with site.engine.begin() as connection:
        queues = [Compared(QUEUE, f"OLD0{number}", same) for number in range(10, 40)]
        store(connection, [*queues, Compared(COUNT, "tea", same, "mixed")])
    site.enter(page, "shadow")
    rows = page.get_by_role("list").locator("li:has(svg)")
    assert rows.count() == 30
    for row in (rows.first, rows.last):
        box = row.locator("svg").bounding_box()
        assert box is not None
        # As high as a cell: those of weeks of a wall are seen at once.
        assert box["height"] == 18
    whole = page.get_by_role("img", name="Comparisons by day and outcome").bounding_box()
    assert whole is not None
    assert 100 < whole["height"] < 300
    here = page.get_by_role("link", name="Old system")
    expect(here).to_have_attribute("aria-current", "page")
    page.get_by_role("link", name="Flags").click()
    expect(page.get_by_role("heading", name="Flags")).to_be_visible()


def test_the_plots_of_insights_fill_their_places(page: Page, site: Site) -> None:
    site.enter(page, "figures")
    box = page.locator("figure svg").first.bounding_box()
    assert box is not None
    assert 100 < box["height"] < 200
    assert box["width"] > 2 * box["height"]
