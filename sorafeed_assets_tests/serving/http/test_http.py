"""GraphQL over HTTP, the limits of a request, and how answers are sent."""

import asyncio
import gzip
import json
import socket
from typing import Any

import brotli
import h2.config
import h2.connection
import h2.events
import httpx
import pytest
import zstandard
from sqlalchemy import Engine, text
from starlette.types import Message, Receive, Scope, Send

from sorafeed_assets.serving.http.compression import CompressionMiddleware
from sorafeed_assets_tests.serving.client import Api, make_display, newest
from sorafeed_assets_tests.wall import add_posts

GRAPHQL = "application/graphql-response+json"
JSON = "application/json"
TYPENAME = {"query": "{ __typename }"}


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (JSON, JSON),
        (GRAPHQL, GRAPHQL),
        (f"{GRAPHQL}; charset=utf-8, {JSON}; q=0.9", GRAPHQL),
        (f"{GRAPHQL}; q=0.5, {JSON}", JSON),
        ("text/html, */*; q=0.1", JSON),
    ],
)
def test_the_answer_is_of_the_accepted_type(reader: Api, accept: str | None, expected: str) -> None:
    if accept is None:
        del reader.http.headers["accept"]
    else:
        reader.http.headers["accept"] = accept
    for response in (
        reader.http.post("/graphql", json=TYPENAME),
        reader.http.get("/graphql", params=TYPENAME),
    ):
        assert response.status_code == 200
        assert response.headers["content-type"] == f"{expected}; charset=utf-8"
        assert response.json() == {"data": {"__typename": "Query"}}


def test_what_is_no_request_is_refused(reader: Api) -> None:
    def send(content: str | bytes, kind: str = JSON, **headers: str) -> httpx.Response:
        sent = {"content-type": kind, **headers}
        return reader.http.post("/graphql", content=content, headers=sent)

    for response, status in (
        (send("{"), 400),
        (send("[1]"), 400),
        (send("[" * 100_000), 400),
        (send(b"\xff\xfe"), 400),
        (send("{}"), 400),
        (send('{"query": 1}'), 400),
        (send('{"query": "{ __typename }", "operationName": 1}'), 400),
        (send('{"query": "{ __typename }", "variables": []}'), 400),
        (send('{"query": "{ __typename }", "extensions": 0}'), 400),
        (send('{"query": "{ __typename }"}', "text/plain"), 415),
        (send('{"query": "{ __typename }"}', "application/json; charset=utf-16"), 415),
        (send('{"query": "{ __typename }"}', accept="text/html"), 406),
        (reader.http.get("/graphql"), 400),
        (reader.http.get("/graphql", params={**TYPENAME, "variables": "{"}), 400),
        (reader.http.put("/graphql", json=TYPENAME), 405),
    ):
        assert response.status_code == status, response.text
        assert response.headers["content-type"].startswith("application/")
    mutation = {"query": 'mutation { createDisplay(name: "x") { display { id } } }'}
    by_get = reader.http.get("/graphql", params=mutation)
    assert by_get.status_code == 405
    assert by_get.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "body",
    [
        {"query": "{"},
        {"query": "{ nothing }"},
        {"query": "query A { __typename } query B { __typename }"},
        {"query": "{ __typename }", "operationName": "C"},
        {"query": "query ($a: Int!) { displays(first: $a) { totalCount } }"},
        {"query": '{ display(id: "\\ud800") { id } }'},
        {"query": "{ ...A } fragment A on Query { ...A }"},
    ],
)
def test_a_wrong_document_is_told_by_status_or_by_errors(reader: Api, body: dict[str, str]) -> None:
    for accept, status in ((GRAPHQL, 400), (JSON, 200)):
        response = reader.http.post("/graphql", json=body, headers={"accept": accept})
        assert response.status_code == status
        assert "data" not in response.json()
        assert response.json()["errors"][0]["extensions"]["code"] == "BAD_REQUEST"


def test_a_body_that_is_too_large_is_refused_before_it_is_read(reader: Api) -> None:
    huge = b"x" * 2_000_000
    said = reader.http.post("/graphql", content=huge, headers={"content-type": JSON})
    assert said.status_code == 413
    assert said.json()["error"]["code"] == "BODY_TOO_LARGE"
    unsaid = reader.http.post(
        "/graphql", content=iter([huge[:900_000]] * 3), headers={"content-type": JSON}
    )
    assert unsaid.status_code == 413


_WIDE = """
{ displays(first: 100) { nodes { playlists(first: 100) { nodes { blocks { id search } } } } } }
"""
_SPREAD = """
query { ...A }
fragment A on Query { ...B ...B }
fragment B on Query {
  displays(first: 100) {
    nodes {
      plan(first: 100) { nodes { post { id text } } }
      plays(first: 100) { nodes { id text } }
    }
  }
}
"""


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("{ " + " ".join(f"a{n}: __typename" for n in range(31)) + " }", "aliases is 31"),
        (_WIDE, "cost"),
        (_SPREAD, "cost"),
        ("{ " + "__typename " * 2001 + "}", "2000 tokens"),
        ("{ displays " + "{ nodes " * 3000 + "{ id }" + " }" * 3000 + " }", "nested too deeply"),
    ],
)
def test_a_query_that_asks_for_too_much_is_refused(reader: Api, query: str, told: str) -> None:
    error = reader.refusal(query)
    assert told in error["message"]


def test_depth_is_limited_and_introspection_is_not(reader: Api) -> None:
    deep = "{ __schema { types { " + "ofType { " * 0 + "fields { type { " + "ofType { " * 9
    deep += "name" + " }" * 9 + " } } } } }"
    assert reader.post(deep).status_code == 200


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
    response = admin.http.post("/graphql", content=body, headers={"content-type": JSON})
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
    ],
)
def test_addresses_with_what_cannot_be_are_refused_by_name(
    admin: Api, path: str, field: str
) -> None:
    response = admin.http.get(path)
    assert response.status_code == 400, response.text
    assert response.json()["error"]["code"] == "BAD_USER_INPUT"
    assert response.json()["error"]["field"] == field


@pytest.mark.parametrize("path", ["/static/%00", "/static/a%00b.js", "/%00", "/static/%ff"])
def test_addresses_of_no_file_are_not_found(admin: Api, path: str) -> None:
    assert admin.http.get(path).status_code == 404


def test_errors_tell_nothing_from_inside(reader: Api, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE search_terms RENAME TO hidden_terms"))
    error = reader.refusal("{ terms { nodes { term } } }")
    assert error["extensions"]["code"] == "INTERNAL"
    assert error["extensions"]["requestId"] in error["message"]
    assert "hidden" not in json.dumps(error)
    assert "search_terms" not in json.dumps(error)


def test_several_errors_come_with_what_could_be_read(reader: Api) -> None:
    body = reader.post('{ a: count(search: "-x") { total } b: displays { totalCount } }').json()
    assert body["data"] is None
    assert body["errors"][0]["path"] == ["a"]


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip", "gzip"),
        ("br, gzip", "br"),
        ("gzip, br, zstd", "zstd"),
        ("zstd;q=0, br;q=0.5", "br"),
        ("identity", None),
        ("*", "zstd"),
        ("nonsense;q=x", None),
    ],
)
def test_answers_are_packed_as_the_client_takes_them(
    reader: Api, accepted: str, coding: str | None
) -> None:
    unpack: dict[str | None, Any] = {
        None: bytes,
        "gzip": gzip.decompress,
        "br": brotli.decompress,
        "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
    }
    query = {"query": "{ __schema { types { name description } } }"}
    request = reader.http.build_request(
        "GET", "/graphql", params=query, headers={"accept-encoding": accepted}
    )
    response = reader.http.send(request, stream=True)
    raw = b"".join(response.iter_raw())
    assert response.headers.get("content-encoding") == coding
    if coding is not None:
        assert "Accept-Encoding" in response.headers["vary"]
    assert "__schema" in json.loads(unpack[coding](raw))["data"]


def test_http2_is_spoken_without_tls(server: str) -> None:
    host, port = server.removeprefix("http://").split(":")
    protocol = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    protocol.initiate_connection()
    fields = {
        ":method": "GET",
        ":path": "/healthz",
        ":scheme": "http",
        ":authority": f"{host}:{port}",
    }
    protocol.send_headers(1, list(fields.items()), end_stream=True)
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(protocol.data_to_send())
        body = b""
        ended = False
        while not ended:
            for event in protocol.receive_data(connection.recv(65536)):
                if isinstance(event, h2.events.DataReceived):
                    body += event.data or b""
                ended = ended or isinstance(event, h2.events.StreamEnded)
            connection.sendall(protocol.data_to_send())
    assert json.loads(body) == {"status": "ok"}


def test_posts_are_exported_line_by_line(reader: Api, engine: Engine) -> None:
    add_posts(engine, "cat", 1200)
    add_posts(engine, "cat", 3, prefix="t", size=(352, 640))
    with reader.http.stream("GET", "/api/posts.ndjson?search=Cat") as response:
        assert response.headers["content-type"].startswith("application/x-ndjson")
        lines = [json.loads(line) for line in response.iter_lines()]
    assert len({line["id"] for line in lines}) == 1203
    tall = reader.http.get("/api/posts.ndjson?search=cat&format=tall").text.splitlines()
    assert len(tall) == 3
    for query, field in (("", "search"), ("?search=cat&format=round", "format")):
        refused = reader.http.get(f"/api/posts.ndjson{query}")
        assert refused.status_code == 400
        assert refused.json()["error"]["field"] == field


def test_health_names_each_dependency(reader: Api, server: str) -> None:
    with httpx.Client(base_url=server) as anonymous:
        assert anonymous.get("/healthz").json() == {"status": "ok"}
        ready = anonymous.get("/readyz")
    assert ready.status_code == 200
    body = ready.json()
    background = body.pop("background")
    assert body == {
        "status": "ready", "postgres": "ok", "redis": "ok", "channel": "ok", "snapshots": "ok",
        "cache": "warm",
    }  # fmt: skip
    assert background.keys() == {
        "channel", "cache", "snapshots", "calls", "jobs", "tokens", "memory", "keys", "reactions",
        "flags", "troubles", "durations",
    }  # fmt: skip
    assert {work["failures"] for work in background.values()} == {0}
    figures = reader.http.get("/metrics").text
    for name in ("requests_total", "database_queries_total", "answers_from_memory", "displays"):
        assert f"sorafeed_{name}" in figures


def test_unknown_paths_and_methods_are_refused_in_json(reader: Api) -> None:
    for response, status in (
        (reader.http.get("/nothing"), 404),
        (reader.http.get("/static/../../settings.py"), 404),
        (reader.http.delete("/api/displays/AAAAAA/next"), 405),
        (reader.http.get("/api/displays/wrong/next"), 400),
        (reader.http.options("/graphql"), 405),
    ):
        assert response.status_code == status
        assert response.json()["error"]["request_id"] == response.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/static/admin.css", "/api/displays/AAAAAA/next"])
def test_a_tag_names_the_coding_and_is_known_again(admin: Api, engine: Engine, path: str) -> None:
    add_posts(engine, "cat", 9)
    make_display(admin, "AAAAAA", newest("cat", 5))
    tags = set()
    for accepted in ("identity", "zstd", "br", "gzip"):
        headers = {"accept-encoding": accepted}
        first = admin.http.get(path, headers=headers)
        tags.add(first.headers["etag"])
        assert first.headers.get("content-encoding", "identity") == accepted
        assert "Accept-Encoding" in first.headers["vary"]
        again = admin.http.get(
            path, headers={**headers, "if-none-match": f'"other-br", {first.headers["etag"]}'}
        )
        assert again.status_code == 304
        assert again.headers["etag"] == first.headers["etag"]
    assert len(tags) == 4


@pytest.mark.parametrize(("size", "times"), [(100_000, 1), (10_000, 3), (40_000_000, 3)])
def test_a_large_answer_that_is_kept_is_compressed_once(
    monkeypatch: pytest.MonkeyPatch, size: int, times: int
) -> None:
    body = bytes(size)
    sent: list[Message] = []
    compressed: list[int] = []
    compress = gzip.compress

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/html")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def count(data: bytes, compresslevel: int) -> bytes:
        compressed.append(len(data))
        return compress(data, compresslevel)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    async def ask() -> None:
        middleware = CompressionMiddleware(app)
        for _ in range(3):
            scope = {"type": "http", "path": "/", "headers": [(b"accept-encoding", b"gzip")]}
            await middleware(scope, receive, send)

    monkeypatch.setattr(gzip, "compress", count)
    asyncio.run(ask())
    assert compressed == [size] * times
    bodies = [message["body"] for message in sent if message["type"] == "http.response.body"]
    assert [gzip.decompress(each) for each in bodies] == [body] * 3


@pytest.mark.parametrize("coding", ["zstd", "br", "gzip"])
def test_each_part_of_an_export_is_sent_as_it_is_read(coding: str) -> None:
    sent: list[bytes] = []
    sizes: list[int] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/x-ndjson")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for number in range(3):
            line = b'{"id": "%d"}\n' % number
            await send({"type": "http.response.body", "body": line, "more_body": True})
            sizes.append(len(b"".join(sent)))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message.get("body", b""))

    scope = {"type": "http", "path": "/", "headers": [(b"accept-encoding", coding.encode())]}
    asyncio.run(CompressionMiddleware(app)(scope, receive, send))
    # No part waits in the compressor for the next one.
    assert 0 < sizes[0] < sizes[1] < sizes[2]
