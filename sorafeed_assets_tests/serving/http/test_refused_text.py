"""Text and addresses that cannot be stored or cannot be are refused by name, wherever they are."""

import json

import pytest

from sorafeed_assets_tests.serving.client import Api

_WITH_TEXT = (
    ("query ($id: ID!) { display(id: $id) { id } }", "id"),
    ("query ($search: String!) { count(search: $search) { total } }", "search"),
    ("query ($search: String!) { posts(search: $search) { nodes { id } } }", "search"),
    ("query ($search: String!) { displays(search: $search) { nodes { id } } }", "search"),
    ("query ($search: String!) { terms(search: $search) { nodes { term } } }", "search"),
    ("query ($after: String!) { terms(after: $after) { nodes { term } } }", "after"),
    ("query ($id: ID!) { playlist(id: $id) { id } }", "id"),
    ("mutation ($id: ID!) { pause(displayId: $id) { problem } }", "id"),
    ("mutation ($id: ID!) { skip(displayId: $id) { videoId } }", "id"),
    ("mutation ($name: String!) { createDisplay(name: $name) { problem } }", "name"),
    ("mutation ($search: String!) { watchTerm(search: $search) { term } }", "search"),
)


@pytest.mark.parametrize("letter", ["\x00", "\ud800", "AAAA\udc00A"])
@pytest.mark.parametrize(("query", "field"), _WITH_TEXT)
def test_text_that_cannot_be_stored_is_refused_by_name(
    admin: Api, query: str, field: str, letter: str
) -> None:
    body = json.dumps({"query": query, "variables": {field: letter}})
    response = admin.http.post(
        "/graphql", content=body, headers={"content-type": "application/json"}
    )
    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT", error
    assert error["extensions"]["field"] == field


def test_text_that_cannot_be_stored_is_refused_within_lists_and_documents(admin: Api) -> None:
    blocks = [{"search": "cat", "videoCount": 1}, {"search": "d\x00g", "videoCount": 1}]
    by_variable = admin.refusal(
        "mutation ($blocks: [BlockInput!]!) {"
        ' createPlaylist(displayId: "AAAAAA", name: "x", blocks: $blocks) { problem } }',
        blocks=blocks,
    )
    written = (
        'mutation { createPlaylist(displayId: "AAAAAA", name: "x",'
        ' blocks: [{search: "cat", videoCount: 1}, {search: "d\\u0000g", videoCount: 1}])'
        " { problem } }"
    )
    by_default = 'query ($id: ID! = "\\u0000") { display(id: $id) { id } }'
    for error, field in (
        (by_variable, "blocks[1].search"),
        (admin.refusal(written), "blocks[1].search"),
        (admin.refusal(by_default), "id"),
    ):
        assert error["extensions"]["code"] == "BAD_USER_INPUT", error
        assert error["extensions"]["field"] == field


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/admin/cards?ids=AAAAAA,%00", "ids"),
        ("/admin/cards?ids=a", "ids"),
        ("/admin/displays/%00", "display_id"),
        ("/admin/displays/%00/parts", "display_id"),
        ("/player/%00", "display_id"),
        ("/api/displays/%00AAAAA/next", "display_id"),
        ("/api/displays/%00AAAAA/events", "display_id"),
        ("/api/posts.ndjson?search=%00", "search"),
        ("/api/posts.ndjson?search=a&format=%00", "format"),
        ("/api/displays/AAAAAA/next?count=%00", "count"),
        ("/api/displays/AAAAAA/next?count=00050", "count"),
        (f"/api/displays/AAAAAA/next?count=0003{'0' * 5_000}", "count"),
        ("/api/displays/AAAAAA/guide.json?hours=00489999999999", "hours"),
    ],
)
def test_addresses_with_what_cannot_be_are_refused_by_name(
    admin: Api, path: str, field: str
) -> None:
    response = admin.http.get(path)
    assert response.status_code == 400, response.text
    assert response.json()["error"]["code"] == "BAD_USER_INPUT"
    assert response.json()["error"]["field"] == field


@pytest.mark.parametrize(
    ("page", "field"),
    [
        ("/admin/flags", "why"),
        ("/admin/posts", "note"),
        ("/admin/rollouts", "name"),
        ("/admin/templates", "name"),
        ("/admin/connect", "name"),
        ("/admin/displays/AAAAAA/screens", "name"),
        ("/admin/displays/AAAAAA/timetable", "starts"),
    ],
)
def test_forms_with_what_cannot_be_stored_are_refused_by_name(
    admin: Api, page: str, field: str
) -> None:
    response = admin.http.post(page, data={field: "a\x00b"}, headers={"origin": admin.url})
    assert response.status_code == 400, response.text
    assert response.json()["error"] == {
        "code": "BAD_USER_INPUT",
        "message": f"{field}: has a NUL character; remove it",
        "request_id": response.headers["x-request-id"],
        "field": field,
    }


@pytest.mark.parametrize("path", ["/static/%00", "/static/a%00b.js", "/%00", "/static/%ff"])
def test_addresses_of_no_file_are_not_found(admin: Api, path: str) -> None:
    assert admin.http.get(path).status_code == 404
