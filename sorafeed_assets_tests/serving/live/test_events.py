"""Pages and players hear of each change once, by a stream of events."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from itertools import count
from queue import Queue
from typing import Any

import httpx
import pytest
from redis import Redis
from sqlalchemy import Engine

from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving.live.changes import Hub
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.cache.redis import CHANGES
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.serving.client import (
    CREATE_DISPLAY,
    CREATE_PLAYLIST,
    Api,
    make_display,
    newest,
    token_of,
    wait_until,
)
from sorafeed_assets_tests.wall import add_posts

WAITING = "SELECT FROM count_jobs UNION ALL SELECT FROM display_changes"
ONLINE = "SELECT FROM displays WHERE id = :code AND status = 'online'"
COUNTED = '{ terms(search: "cat") { nodes { total } } }'
PAUSE = "mutation ($id: ID!) { pause(displayId: $id) { problem } }"
ACTIVATE = "mutation ($id: ID!) { activatePlaylist(id: $id) { problem } }"


def test_pages_hear_of_their_display_by_events(admin: Api, engine: Engine, server: str) -> None:
    add_posts(engine, "cat", 9)
    for code in ("MINE01", "OTHER1"):
        make_display(admin, code, newest("cat", 5))
    player = Api(server, token_of(engine, Role.DISPLAY, "MINE01"))
    heard: list[str] = []
    opened = threading.Event()

    def listen() -> None:
        with player.http.stream("GET", "/api/displays/MINE01/events") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            assert "content-encoding" not in stream.headers
            for line in stream.iter_lines():
                if line.startswith("event: open"):
                    opened.set()
                if line.startswith("data: ["):
                    heard.append(line.removeprefix("data: "))
                if "MINE01" in line:
                    return

    listener = threading.Thread(target=listen)
    listener.start()
    assert opened.wait(60)
    admin.ask('mutation { skip(displayId: "OTHER1") { videoId } }')
    admin.ask('mutation { skip(displayId: "MINE01") { videoId } }')
    listener.join(60)
    assert not listener.is_alive()
    assert heard == ["[]", '["display:MINE01"]']
    player.close()


class OpenPage:
    """A page that is notified of all changes."""

    def __init__(self, api: Api, redis: Redis) -> None:
        self._redis = redis
        self._heard: Queue[list[str]] = Queue()
        self._marks = count()
        opened = threading.Event()

        def listen() -> None:
            with api.http.stream("GET", "/api/events") as stream:
                for line in stream.iter_lines():
                    if line.startswith("data: "):
                        opened.set()
                        self._heard.put(json.loads(line.removeprefix("data: ")))
                    if "the end" in line:
                        return

        self._thread = threading.Thread(target=listen)
        self._thread.start()
        assert opened.wait(10)
        self.heard()

    def heard(self) -> list[str]:
        """The tags of all changes so far."""
        mark = f"mark {next(self._marks)}"
        self._redis.publish(CHANGES, json.dumps([mark]))
        tags: list[str] = []
        while mark not in tags:
            tags += self._heard.get(timeout=10)
        return sorted(tag for tag in tags if not tag.startswith("mark"))

    def wait_for_silence(self) -> None:
        """Wait until no change arrives for a second."""
        silent = 0
        while silent < 5:
            time.sleep(0.2)
            silent = 0 if self.heard() else silent + 1

    def end(self) -> None:
        """Stop listening."""
        self._redis.publish(CHANGES, '["the end"]')
        self._thread.join(10)


@pytest.fixture
def page(admin: Api, settings: Settings) -> Iterator[OpenPage]:
    """A page of the server that `admin` uses."""
    with Redis.from_url(str(settings.redis_url)) as redis:
        page = OpenPage(admin, redis)
        yield page
        page.end()


def test_a_page_hears_each_change_once(
    admin: Api, other: Api, engine: Engine, page: OpenPage
) -> None:
    add_posts(engine, "cat", 9)
    for api in (admin, other):
        # Writes at a server's start are notified too.
        wait_until(lambda: api.http.get("/readyz").json()["status"] == "ready")  # noqa: B023  # called at once
    _changes_are_heard_once(admin, page, engine, "HERE01")
    _changes_are_heard_once(other, page, engine, "THERE1")


def _changes_are_heard_once(api: Api, page: OpenPage, engine: Engine, code: str) -> None:
    page.wait_for_silence()
    api.ask(CREATE_DISPLAY, name="Hall", id=code)
    assert page.heard() == [f"display:{code}", "displays"]
    values: dict[str, Any] = {"display": code, "name": "x", "blocks": [newest("cat", 5)]}
    made = api.ask(CREATE_PLAYLIST, **values)["createPlaylist"]
    # Its term is counted by a job, after which its display is settled again.
    wait_until(lambda: api.ask(COUNTED)["terms"]["nodes"][0]["total"] == 9)
    wait_until(lambda: not run(engine, WAITING))
    display = f"/api/displays/{code}"
    body = {"entry": api.http.get(f"{display}/next").json()["videos"][0]["entry"]}
    # That call sets it online, a little later.
    wait_until(lambda: bool(run(engine, ONLINE, code=code)))
    page.wait_for_silence()
    for change in (
        lambda: api.http.post(f"{display}/started", json=body),
        lambda: api.http.post(f"{display}/played", json=body),
        lambda: api.ask(PAUSE, id=code),
        lambda: api.ask(ACTIVATE, id=made["playlist"]["id"]),
        lambda: api.ask(CREATE_PLAYLIST, **values),
    ):
        change()
        assert page.heard() == [f"display:{code}"]


def test_a_page_that_does_not_keep_up_reads_everything_again() -> None:
    async def work() -> None:
        hub = Hub()
        with hub.subscribe(["display:A"]) as page, hub.subscribe(None) as overview:
            for _ in range(100):
                hub.tell(["display:A", "counts"])
            hub.tell(["counts"])
            heard = [await page.next(0.01) for _ in range(101)]
            assert ["all"] in heard
            assert [await overview.next(0.01)] != [[]]
            hub.close()
            assert [tags for tags in [await page.next(0.01)] if tags] == []
        assert len(hub) == 0

    asyncio.run(work())


def test_the_event_stream_ends_with_the_server(settings: Settings, engine: Engine) -> None:
    token = token_of(engine, Role.READER)
    with serving(settings, Listening(free_port())) as url:
        client = httpx.Client(base_url=url, headers={"authorization": f"Bearer {token}"})
        stream = client.stream("GET", "/api/events")
        response = stream.__enter__()
        lines = response.iter_lines()
        assert next(lines) == "retry: 1000"
    assert list(lines)[-3:] == ["event: closing", "data: []", ""]
    stream.__exit__(None, None, None)
    client.close()
