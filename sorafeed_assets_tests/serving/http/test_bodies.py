"""Headers and bodies that are huge, slow, broken off or reset, of every method."""

import socket
import struct
from collections.abc import Iterator
from urllib.parse import urlsplit

import psutil
import pytest
from sqlalchemy import Engine

from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving import server as server_module
from sorafeed_assets.serving.http import middleware
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.serving.client import Api, token_of, wait_until, wait_until_loaded
from sorafeed_assets_tests.serving.processes import served
from sorafeed_assets_tests.serving.raw import chunk, connect, exchange, head, status_of

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "PATCH")
PART = bytes(250_000)
# Far more than is read and discarded, so the rest is never read.
HUGE = 100


def _headers(token: str, **more: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}", "content-type": "application/json", **more}


def _chunked(method: str, path: str, token: str, parts: int) -> Iterator[bytes]:
    yield head(method, path, _headers(token, **{"transfer-encoding": "chunked"}))
    for _ in range(parts):
        yield chunk(PART)
    yield chunk(b"")


@pytest.mark.parametrize("path", ["/graphql", "/admin", "/healthz"])
@pytest.mark.parametrize("method", METHODS)
def test_a_body_over_the_limit_is_refused_whatever_the_method(
    server: str, engine: Engine, method: str, path: str
) -> None:
    token = token_of(engine, Role.READER)
    assert exchange(server, _chunked(method, path, token, 8)) == 413
    declared = head(method, path, _headers(token, **{"content-length": "2000000"}))
    assert exchange(server, [declared, *[PART] * 8]) == 413


def test_a_huge_body_takes_no_memory(settings: Settings, engine: Engine) -> None:
    token = token_of(engine, Role.READER)
    with served(settings) as api:
        process = psutil.Process(api.pid)
        wait_until_loaded(api.url)
        assert exchange(api.url, _chunked("HEAD", "/graphql", token, 8)) == 413
        before = process.memory_info().rss
        for method in ("HEAD", "GET", "POST"):
            assert exchange(api.url, _chunked(method, "/graphql", token, 4 * HUGE)) in {0, 413}
            assert process.memory_info().rss - before < 30_000_000


def test_a_body_that_does_not_come_is_not_waited_for(
    server: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(middleware, "_BODY_SECONDS", 0.3)
    token = token_of(engine, Role.READER)
    for method in ("GET", "POST"):
        start = head(method, "/graphql", _headers(token, **{"content-length": "900"}))
        assert exchange(server, [start, b'{"query": ']) == 408


def test_headers_that_do_not_end_are_not_waited_for(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "_HEADER_SECONDS", 0.5)
    with serving(settings, Listening(free_port())) as url, connect(url) as slow:
        slow.sendall(b"GET /healthz HTTP/1.1\r\nhost: test\r\nx: ")
        # Each byte is in time, but not all of them.
        wait_until(lambda: _is_closed(slow))


def _is_closed(connection: socket.socket) -> bool:
    """Send one more byte; whether the server has closed its side."""
    connection.settimeout(0.05)
    try:
        connection.sendall(b"y")
        return status_of(connection) in {0, 408}
    except TimeoutError:
        return False
    except ConnectionError:
        return True


@pytest.mark.parametrize(
    "broken",
    [
        b"zz\r\nno chunk\r\n",
        b"-5\r\n",
        b"ffffffffffffffffffff\r\n",
        b"5\r\nab",
    ],
)
def test_a_broken_body_harms_no_other_request(reader: Api, engine: Engine, broken: bytes) -> None:
    token = token_of(engine, Role.READER)
    start = head("POST", "/graphql", _headers(token, **{"transfer-encoding": "chunked"}))
    with connect(reader.url) as connection:
        connection.sendall(start + broken)
        connection.shutdown(socket.SHUT_WR)
        assert status_of(connection) in {0, 400, 408}
    assert reader.ask("{ __typename }")


@pytest.mark.parametrize(
    "start",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nhost: a\r\nx: \x00\r\n\r\n",
        b"GET /" + b"a" * 900_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: a\r\n" + b"x: y\r\n" * 5_000 + b"\r\n",
        b"POST /graphql HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        b"POST /graphql HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 64,
    ],
)
def test_what_is_no_http_is_refused_or_closed(reader: Api, start: bytes) -> None:
    with connect(reader.url) as connection:
        try:
            connection.sendall(start)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            # The server has closed the connection already.
            pass
        else:
            assert status_of(connection) < 500
    assert reader.ask("{ __typename }")


def test_clients_that_reset_leave_nothing_behind(reader: Api, engine: Engine) -> None:
    token = token_of(engine, Role.READER)
    starts = [
        head("GET", "/api/events", _headers(token)),
        head("GET", "/api/posts.ndjson?search=cat", _headers(token)),
        head("POST", "/graphql", _headers(token, **{"content-length": "900"})) + b"{",
        head("POST", "/graphql", _headers(token, **{"transfer-encoding": "chunked"})) + b"5\r\n",
        head("GET", "/admin", _headers(token)),
    ]
    for number in range(100):
        connection = connect(reader.url)
        connection.sendall(starts[number % len(starts)])
        # Without waiting for unsent data: the server gets a reset.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
    assert reader.ask("{ __typename }")
    port = urlsplit(reader.url).port

    def served_now() -> int:
        found = psutil.Process().net_connections("tcp")
        return sum(each.laddr[1] == port and each.status == "ESTABLISHED" for each in found)

    # The reader's own connection stays.
    wait_until(lambda: served_now() == 1)
