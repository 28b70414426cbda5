"""Another process, and its open pages, see what one process wrote; how soon is in benchmarks."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from queue import Queue
from typing import Final

import pytest
from sqlalchemy import Engine

from sorafeed_assets.services.tokens import Role
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.serving.client import (
    Api,
    make_display,
    newest,
    token_of,
    wait_until,
)
from sorafeed_assets_tests.serving.processes import served
from sorafeed_assets_tests.wall import add_posts

WRITES: Final = 20
# A reader's answer stays in its cache for so many seconds, unless it hears of a change.
ANSWER_SECONDS: Final = 60.0
NAME = '{ display(id: "FRESH1") { name } }'
RENAME = 'mutation ($name: String!) { renameDisplay(id: "FRESH1", name: $name) { problem } }'
SKIP = 'mutation { skip(displayId: "FRESH1") { videoId } }'


@pytest.fixture
def processes(settings: Settings, engine: Engine) -> Iterator[tuple[Api, Api]]:
    """An admin of a process that writes, and one of a process that reads."""
    add_posts(engine, "cat", 60)
    token = token_of(engine, Role.ADMIN)
    settings = settings.model_copy(update={"api_answer_seconds": ANSWER_SECONDS})
    with ExitStack() as stack:
        apis = []
        for _ in range(2):
            api = Api(stack.enter_context(served(settings)).url, token)
            stack.callback(api.close)
            apis.append(api)
        writer, watcher = apis
        make_display(writer, "FRESH1", newest("cat", 40))
        yield writer, watcher


def test_another_process_reads_a_change_before_its_cached_answer_ends(
    processes: tuple[Api, Api],
) -> None:
    writer, watcher = processes
    for number in range(WRITES):
        name = f"name {number}"
        # From here on the reader has the answer in its cache.
        assert watcher.ask(NAME)["display"]["name"] != name
        writer.ask(RENAME, name=name)
        wait_until(lambda: watcher.ask(NAME)["display"]["name"] == name, ANSWER_SECONDS / 2)  # noqa: B023  # called at once


class Page:
    """A page that holds a stream of events open."""

    def __init__(self, api: Api, path: str) -> None:
        self._heard: Queue[str] = Queue()
        self._over = threading.Event()
        self._opened = threading.Event()
        self._listener = threading.Thread(target=self._listen, args=(api, path))
        self._listener.start()
        assert self._opened.wait(60)

    def _listen(self, api: Api, path: str) -> None:
        with api.http.stream("GET", path) as stream:
            for line in stream.iter_lines():
                if line == "event: open":
                    self._opened.set()
                if line.startswith("data: [") and line != "data: []":
                    for tag in json.loads(line.removeprefix("data: ")):
                        self._heard.put(tag)
                    if self._over.is_set():
                        return

    def hear(self, tag: str) -> None:
        """Wait for the event with this tag."""
        while self._heard.get(timeout=60) != tag:
            pass

    def forget(self) -> None:
        """Discard events of an earlier change, which may arrive more than once."""
        time.sleep(0.1)
        while not self._heard.empty():
            self._heard.get()

    def close_at_next(self) -> None:
        """Disconnect at the next event."""
        self._over.set()

    def wait_closed(self) -> None:
        """Wait until it is disconnected."""
        self._listener.join(60)
        assert not self._listener.is_alive()


@pytest.mark.parametrize("path", ["/api/displays/FRESH1/events", "/api/events"])
def test_a_page_hears_of_every_queue_change(processes: tuple[Api, Api], path: str) -> None:
    writer, watcher = processes
    page = Page(watcher, path)
    for _ in range(WRITES // 2):
        page.forget()
        writer.ask(SKIP)
        page.hear("display:FRESH1")
    page.close_at_next()
    writer.ask(SKIP)
    page.wait_closed()


def test_the_admin_page_hears_of_every_kind_of_change(processes: tuple[Api, Api]) -> None:
    writer, watcher = processes
    page = Page(watcher, "/api/events")
    for change, told in (
        ('createDisplay(id: "OTHER1", name: "Other") { problem }', ["display:OTHER1", "displays"]),
        ('pause(displayId: "OTHER1") { problem }', ["display:OTHER1"]),
        ('watchTerm(search: "cat") { term }', ["terms"]),
        ('deleteDisplay(id: "OTHER1") { id }', ["display:OTHER1", "displays"]),
    ):
        page.forget()
        writer.ask(f"mutation {{ {change} }}")
        for tag in told:
            page.hear(tag)
    page.forget()
    page.close_at_next()
    writer.ask(SKIP)
    page.wait_closed()
