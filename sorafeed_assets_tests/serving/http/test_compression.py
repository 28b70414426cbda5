"""How answers are sent: packed as the client takes them, known again by tags, and in parts."""

import asyncio
import gzip
import json
from typing import Any

import brotli
import pytest
import zstandard
from sqlalchemy import Engine
from starlette.types import Message, Receive, Scope, Send

from sorafeed_assets.serving.http.compression import CompressionMiddleware
from sorafeed_assets_tests.serving.client import Api, make_display, newest
from sorafeed_assets_tests.wall import add_posts


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
