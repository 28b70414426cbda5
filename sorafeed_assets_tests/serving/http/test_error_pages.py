"""Errors are pages for browsers, and JSON for programs."""

import pytest
from sqlalchemy import Engine

from sorafeed_assets_tests.serving.client import Api
from sorafeed_assets_tests.wall import add_display

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/admin/displays/NOSUCH", 404, "Display NOSUCH does not exist"),
        ("/admin/nowhere", 404, "There is no page at this address"),
        ("/admin/displays/nosuch", 400, "The code is &#39;nosuch&#39;; it must be 6 characters"),
        ("/api/displays/NOSUCH/next", 404, "Display NOSUCH does not exist"),
    ],
)
def test_a_browser_gets_a_page(admin: Api, path: str, status: int, says: str) -> None:
    page = admin.http.get(path, headers={"accept": BROWSER})
    assert (page.status_code, page.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert says in page.text
    assert page.headers["x-request-id"] in page.text
    for accept in ("*/*", "application/json", "application/json, text/html"):
        answer = admin.http.get(path, headers={"accept": accept})
        assert answer.status_code == status
        assert answer.json()["error"]["code"]


def test_all_that_is_refused_is_named_in_words(admin: Api, engine: Engine) -> None:
    add_display(engine, "WORDS1")
    query = """
    mutation ($blocks: [BlockInput!]!) {
      createPlaylist(displayId: "WORDS1", name: "x", blocks: $blocks) { problem }
    }
    """
    wrong = [
        {"search": "cat", "videoCount": 1},
        {"search": "-cat", "videoCount": 0},
        {"search": " ", "videoCount": 1},
    ]
    error = admin.refusal(query, blocks=wrong)
    assert error["extensions"]["field"] == "blocks[1].search_term"
    assert error["extensions"]["problems"] == [
        {
            "field": "blocks[1].search_term",
            "message": "Block 2: the search has only exclusions; write at least one word to search"
            " for.",
        },
        {
            "field": "blocks[1].video_count",
            "message": "Block 2: the number of videos is 0; it must be 1 to 500.",
        },
        {
            "field": "blocks[2].search_term",
            "message": "Block 3: the search is empty; write the words to search for.",
        },
    ]
    csv = "query ($csv: String!) { csvBlocks(csv: $csv) { search videoCount fetchMode format } }"
    text = "search_term,video_count\ncat,3\n-cat,x\n"
    assert [each["message"] for each in admin.refusal(csv, csv=text)["extensions"]["problems"]] == [
        "Line 3: the search has only exclusions; write at least one word to search for.",
        "Line 3: the number of videos is 'x'; write a whole number.",
    ]
    assert admin.ask(csv, csv="search_term,video_count\ncat,3\n")["csvBlocks"] == [
        {"search": "cat", "videoCount": 3, "fetchMode": "RANDOM", "format": "MIXED"}
    ]
