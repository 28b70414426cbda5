"""An event stream lasts no longer than its token, and a token has few."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Final

import httpx
import pytest
from sqlalchemy import Engine

from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.services.tokens import Role, create_token, revoke_token
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.serving.client import Api, token_of, wait_until
from sorafeed_assets_tests.wall import add_display

Open = Callable[[str, str], Iterator[str]]
ALL: Final = "/api/events"
OWN: Final = "/api/displays/MINE01/events"


@pytest.fixture
def open_stream(server: str) -> Iterator[Open]:
    """Open streams; yields the lines of one, the first of which has arrived."""
    with ExitStack() as stack, httpx.Client(base_url=server, timeout=60) as client:

        def opened(token: str, path: str) -> Iterator[str]:
            headers = {"authorization": f"Bearer {token}"}
            response = stack.enter_context(client.stream("GET", path, headers=headers))
            assert response.status_code == 200
            lines = response.iter_lines()
            assert next(lines) == "retry: 1000"
            return lines

        yield opened


def _ends(lines: Iterator[str]) -> list[str]:
    """What a stream still sends; fails when it does not end within two minutes."""
    found: list[str] = []
    for line in lines:
        found += [line] if line else []
        assert found.count(": still here") < 8, "the stream does not end"
    return found


def test_a_stream_ends_when_its_token_is_revoked(open_stream: Open, engine: Engine) -> None:
    token_id, secret = create_token(engine, Role.READER, "a lost one")
    other = open_stream(token_of(engine, Role.READER), ALL)
    lines = open_stream(secret, ALL)
    revoke_token(engine, token_id)
    assert "event: change" not in _ends(lines)
    # Another token's stream goes on.
    add_display(engine, "MINE01")
    assert next(other) == "event: open"


def test_a_stream_ends_when_its_token_is_changed_or_removed_by_plain_sql(
    open_stream: Open, engine: Engine
) -> None:
    add_display(engine, "MINE01")
    past = open_stream(token_of(engine, Role.READER), ALL)
    run(engine, "UPDATE api_tokens SET expires_at = now() - interval '1 s'")
    _ends(past)
    gone = open_stream(token_of(engine, Role.DISPLAY, "MINE01"), OWN)
    run(engine, "DELETE FROM displays")
    _ends(gone)


def test_a_stream_ends_when_its_token_expires(open_stream: Open, engine: Engine) -> None:
    _, secret = create_token(engine, Role.READER, "a short one", life=timedelta(seconds=8))
    _ends(open_stream(secret, ALL))


def test_a_displays_token_has_few_streams_and_the_newest_stay(
    open_stream: Open, admin: Api, engine: Engine
) -> None:
    add_display(engine, "MINE01")
    secret = token_of(engine, Role.DISPLAY, "MINE01")
    streams = [open_stream(secret, OWN) for _ in range(13)]
    for lines in streams[:3]:
        assert _ends(lines)[-3:] == ["retry: 60000", "event: replaced", "data: []"]
    wait_until(lambda: "sorafeed_connected_pages 10.0" in admin.http.get("/metrics").text)
    admin.ask('mutation { renameDisplay(id: "MINE01", name: "Hall") { problem } }')
    for lines in streams[3:]:
        assert "event: change" in lines


def test_the_streams_of_another_token_are_limited_by_a_setting(
    settings: Settings, engine: Engine
) -> None:
    few = settings.model_copy(update={"api_streams_per_token": 2})
    headers = {"authorization": f"Bearer {token_of(engine, Role.READER)}"}
    with (
        serving(few, Listening(free_port())) as url,
        httpx.Client(base_url=url, headers=headers, timeout=60) as client,
        contextlib.ExitStack() as stack,
    ):
        opened = []
        for _ in range(3):
            response = stack.enter_context(client.stream("GET", ALL))
            opened.append(response.iter_lines())
            next(opened[-1])
        assert "event: replaced" in _ends(opened[0])
        assert next(opened[2]) == "event: open"
