"""Clients of an export that stall or disconnect deny it to no one."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Final

import pytest
from sqlalchemy import Engine, text

from sorafeed_assets.domain.catalog.search import Format, parse_query
from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving import exports, server
from sorafeed_assets.serving.players import export
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.serving.state import ServerState
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.serving.client import Api, readiness, token_of, wait_until
from sorafeed_assets_tests.serving.raw import connect, head, status_of

PATH: Final = "/api/posts.ndjson?search=many"
Stall = Callable[[str, str], socket.socket]

# 60 MB, far more than sockets hold.
_ADD_POSTS: Final = """
INSERT INTO sora_posts (id, text, posted_at, width, height)
SELECT 'p' || n, 'many ' || repeat('word ', 600), now(), 640, 352 FROM generate_series(1, 20000) n
"""


@pytest.fixture
def stall() -> Iterator[Stall]:
    """Ask for an export, and read nothing of it but its status."""
    with ExitStack() as stack:

        def stalled(url: str, token: str) -> socket.socket:
            connection = stack.enter_context(connect(url, receive_buffer=4096))
            connection.sendall(head("GET", PATH, {"authorization": f"Bearer {token}"}))
            assert status_of(connection) == 200
            return connection

        yield stalled


def _status(url: str, token: str) -> int:
    with connect(url, receive_buffer=4096) as connection:
        connection.sendall(head("GET", PATH, {"authorization": f"Bearer {token}"}))
        return status_of(connection)


def test_a_token_has_only_some_of_the_exports(server: str, engine: Engine, stall: Stall) -> None:
    run(engine, _ADD_POSTS)
    first, second, third = (token_of(engine, Role.READER) for _ in range(3))
    for token in (first, first):
        stall(server, token)
    assert _status(server, first) == 429
    for token in (second, second):
        stall(server, token)
    assert _status(server, third) == 503


def test_an_export_is_free_when_its_client_disconnects(
    server: str, engine: Engine, stall: Stall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_STALL_SECONDS", 10_000.0)
    run(engine, _ADD_POSTS)
    token = token_of(engine, Role.READER)
    for connection in [stall(server, token) for _ in range(2)]:
        connection.close()
    wait_until(lambda: _status(server, token) == 200)


def test_an_export_ends_when_its_client_stops_reading(
    server: str, engine: Engine, stall: Stall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "_STALL_SECONDS", 0.5)
    run(engine, _ADD_POSTS)
    token = token_of(engine, Role.READER)
    stalled = [stall(server, token) for _ in range(2)]
    wait_until(lambda: _status(server, token) == 200)
    for connection in stalled:
        received = b""
        while part := connection.recv(1_000_000):
            received += part
        # What was sent arrives, without the last chunk of a complete body.
        assert not received.endswith(b"0\r\n\r\n")


_WAITING: Final = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%sora_posts%'
"""


def test_the_statement_of_an_abandoned_export_is_cancelled(
    settings: Settings, engine: Engine
) -> None:
    patient = settings.model_copy(update={"lock_timeout_seconds": 1_000})
    token = token_of(engine, Role.READER)
    with serving(patient, Listening(free_port())) as url:
        api = Api(url, token)
        wait_until(lambda: api.http.get("/readyz").status_code == 200)
        with engine.begin() as connection:
            connection.execute(text("LOCK TABLE sora_posts IN ACCESS EXCLUSIVE MODE"))
            with connect(url) as client:
                client.sendall(head("GET", PATH, {"authorization": f"Bearer {token}"}))
                wait_until(lambda: run(engine, _WAITING) == [(1,)])
            wait_until(lambda: run(engine, _WAITING) == [(0,)])
        assert api.http.get(PATH).text == ""
        api.close()


_END_READING: Final = """
SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = 'reading'
"""
_OPEN: Final = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'sorafeed api%'
"""


@pytest.mark.parametrize("hangs_up", [False, True])
def test_a_server_that_stops_ends_its_exports(
    settings: Settings,
    engine: Engine,
    stall: Stall,
    monkeypatch: pytest.MonkeyPatch,
    *,
    hangs_up: bool,
) -> None:
    monkeypatch.setattr(export, "_STALL_SECONDS", 10_000.0)
    monkeypatch.setattr(exports, "_STOP_SECONDS", 0.2)
    monkeypatch.setattr(server, "_STOP_SECONDS", 0.5)
    run(engine, _ADD_POSTS)
    token = token_of(engine, Role.READER)
    with serving(settings, Listening(free_port())) as url:
        wait_until(lambda: readiness(url).status_code == 200)
        clients = [stall(url, token) for _ in range(2)]
        if hangs_up:
            for client in clients:
                client.close()
    wait_until(lambda: run(engine, _OPEN) == [(0,)])


@pytest.mark.parametrize("is_known", [False, True])
def test_an_export_that_ends_after_the_threads_returns_its_connection(
    settings: Settings, engine: Engine, *, is_known: bool
) -> None:
    run(engine, _ADD_POSTS)

    async def check() -> None:
        state = ServerState(settings)
        query = parse_query("many", "search")
        opened = export._Export(state.engine, query, Format.MIXED, state.exports.closed)
        response = export._ExportResponse(state, opened, lambda: None)
        async with asyncio.timeout(None) as limit:
            with state.exports.sending(opened, limit):
                pass
            response._pending = state.submit(opened.next)
            if is_known:
                await asyncio.wrap_future(response._pending)
            await state.close()
            response._release()

    asyncio.run(check())
    wait_until(lambda: run(engine, _OPEN) == [(0,)])


def test_an_export_whose_session_is_lost_leaves_no_cursor_open(
    settings: Settings, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    run(engine, _ADD_POSTS)
    reading = create_database_engine(str(settings.database_url), settings, application="reading")
    opened = export._Export(reading, parse_query("many", "search"), Format.MIXED, lambda _: None)
    assert opened.next()
    assert run(engine, _END_READING) == [(True,)]
    opened.close()
    reading.dispose()
    # SQLAlchemy logs that, and the cursor warns when it is collected.
    assert "closing cursor" not in caplog.text
