"""Calls and event streams of the pages, sent again in a real browser until a server answers."""

import pytest
from playwright.sync_api import Page

from sorafeed_assets_tests.serving.browsing import Site, add_demo_posts, needs_browser, until
from sorafeed_assets_tests.serving.client import make_display, newest

pytestmark = needs_browser


@pytest.mark.parametrize("statuses", [[503], [503, 502, 504]])
def test_a_call_is_tried_again_until_a_server_answers(
    page: Page, site: Site, statuses: list[int]
) -> None:
    site.enter(page)
    left = list(statuses)
    page.route(
        "**/healthz",
        lambda route: (
            route.fulfill(status=left.pop(0), headers={"retry-after": "0"})
            if left
            else route.continue_()
        ),
    )
    ask = """(tries) => import("/static/retry.js")
      .then(({ call }) => call("/healthz", {}, tries)).then((response) => response.status)"""
    assert page.evaluate(ask, len(statuses)) == statuses[-1]
    left[:] = statuses
    assert page.evaluate(ask, len(statuses) + 1) == 200
    # An answer that is no outage is not asked for again.
    left[:] = [404, 503]
    assert page.evaluate(ask, 5) == 404
    assert left == [503]


def test_pauses_grow_are_random_and_honour_the_server(page: Page, site: Site) -> None:
    site.enter(page)
    least, most, asked = page.evaluate(
        """() => import("/static/retry.js").then(({ askedPause, pauseAfter }) => [
          [1, 2, 3, 9].map((failures) => pauseAfter(failures, 0, () => 0)),
          [1, 2, 3, 4, 9].map((failures) => pauseAfter(failures, 0, () => 1)),
          [
            pauseAfter(1, 2000, () => 0),
            ...["3", new Date(Date.now() - 9e3).toUTCString(), "soon"].map((after) =>
              askedPause(new Response("", { headers: { "retry-after": after } }))),
            askedPause(null),
          ],
        ])"""
    )
    assert least == [0, 0, 0, 0]
    assert most == [0, 500, 1000, 2000, 15_000]
    assert asked == [2000, 3000, 0, 0, 0]


def test_an_event_stream_is_opened_again_after_answers_that_are_no_stream(
    page: Page, site: Site
) -> None:
    refused = [503, 500, 503]
    page.route(
        "**/api/events",
        lambda route: route.fulfill(status=refused.pop()) if refused else route.continue_(),
    )
    add_demo_posts(site.engine, "bee", 3)
    make_display(site.admin, "LIVE01", newest("bee", 3))
    site.enter(page)
    until(page, "document.body.innerText.includes('Display LIVE01')")
    site.admin.ask('mutation { renameDisplay(id: "LIVE01", name: "Told by event") { problem } }')
    until(page, "document.body.innerText.includes('Told by event')")
    assert refused == []
