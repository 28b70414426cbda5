"""GraphQL over HTTP: what is accepted, the limits of a request, and errors."""

import json
import socket

import h2.config
import h2.connection
import h2.events
import httpx
import pytest
from sqlalchemy import Engine, text

from sorafeed_assets_tests.serving.client import Api

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
        "flags", "troubles", "durations", "imports",
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
