"""Answers from the response cache are never older than what any process has written."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from pathlib import Path
from queue import Queue
from typing import Any

import httpx
import pytest
from redis import Redis
from sqlalchemy import Engine, text

from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.services.cache.write import write_timeline_cache
from sorafeed_assets.services.counts.typeahead import MOST_COUNTED
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving.live.changes import Hub
from sorafeed_assets.serving.live.response_cache import ResponseCache
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.cache.redis import CHANGES
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.cli.running import answer
from sorafeed_assets_tests.serving.client import (
    CREATE_DISPLAY,
    CREATE_PLAYLIST,
    Api,
    make_display,
    newest,
    token_of,
    wait_until,
)
from sorafeed_assets_tests.wall import add_display, add_posts

NAME = "query ($id: ID!) { display(id: $id) { name } }"
CODES = "{ displays { nodes { id } } }"
TERMS = "{ terms { nodes { term } } }"
WAITING = "SELECT FROM count_jobs UNION ALL SELECT FROM display_changes"
ONLINE = "SELECT FROM displays WHERE id = :code AND status = 'online'"
COUNTED = '{ terms(search: "cat") { nodes { total } } }'
PAUSE = "mutation ($id: ID!) { pause(displayId: $id) { problem } }"
ACTIVATE = "mutation ($id: ID!) { activatePlaylist(id: $id) { problem } }"
RENAME = "mutation ($id: ID!, $name: String!) { renameDisplay(id: $id, name: $name) { problem } }"


def _figure(api: Api, name: str) -> float:
    lines = api.http.get("/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith(name)).split()[1])


def _is_named(api: Api, number: int) -> bool:
    return bool(api.ask(NAME, id="AAAAAA")["display"]["name"] == str(number))


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings with answers that expire only after a test's time-outs."""
    return settings.model_copy(update={"api_answer_seconds": 60.0})


@pytest.fixture
def other(settings: Settings, engine: Engine) -> Iterator[Api]:
    """A second server on the same databases."""
    with serving(settings, Listening(free_port())) as url:
        client = Api(url, token_of(engine, Role.ADMIN))
        yield client
        client.close()


def test_one_question_of_many_is_computed_once(reader: Api, engine: Engine) -> None:
    add_display(engine, "AAAAAA")
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: reader.ask(NAME, id="AAAAAA"), range(40)))
    assert all(answer == found[0] for answer in found)
    assert _figure(reader, "sorafeed_answers_computed") < 40 / 2
    assert _figure(reader, "sorafeed_answers_from_memory") >= 1


def test_a_writer_reads_its_change_and_other_processes_hear_of_it(admin: Api, other: Api) -> None:
    admin.ask('mutation { createDisplay(id: "AAAAAA", name: "0") { problem } }')
    for number in range(1, 15):
        writer, watcher = (admin, other) if number % 2 else (other, admin)
        watcher.ask(NAME, id="AAAAAA")
        writer.ask(RENAME, id="AAAAAA", name=str(number))
        assert _is_named(writer, number)
        wait_until(partial(_is_named, watcher, number), seconds=30.0)


def test_only_what_a_change_touches_is_dropped(admin: Api, engine: Engine) -> None:
    for code in ("AAAAAA", "BBBBBB"):
        add_display(engine, code)
        admin.ask(NAME, id=code)
    before = _figure(admin, "sorafeed_answers_from_memory")
    admin.ask('mutation { pause(displayId: "AAAAAA") { problem } }')
    admin.ask(NAME, id="BBBBBB")
    assert _figure(admin, "sorafeed_answers_from_memory") == before + 1
    admin.ask(NAME, id="AAAAAA")
    assert _figure(admin, "sorafeed_answers_from_memory") == before + 1


def test_a_write_of_another_program_is_heard(
    reader: Api, engine: Engine, settings: Settings
) -> None:
    add_posts(engine, "cat", 3)
    add_display(engine, "AAAAAA")
    with Redis.from_url(str(settings.redis_url), decode_responses=True) as redis:
        write_timeline_cache(engine, redis, ["AAAAAA"], ttl=100)
        assert reader.ask(NAME, id="AAAAAA")["display"]["name"] == "AAAAAA"
        with engine.begin() as connection:
            connection.execute(text("UPDATE displays SET name = 'by SQL', timeline_position = 7"))
        write_timeline_cache(engine, redis, ["AAAAAA"], ttl=100)
    wait_until(lambda: reader.ask(NAME, id="AAAAAA")["display"]["name"] == "by SQL", seconds=30.0)


@pytest.mark.parametrize("role", [Role.ADMIN, Role.READER])
def test_the_first_wall_comes_from_memory(server: str, engine: Engine, role: Role) -> None:
    api = Api(server, token_of(engine, role))
    wait_until(lambda: api.http.get("/readyz").status_code == 200)
    hits, misses = (_figure(api, f"sorafeed_answers_{how}") for how in ("from_memory", "computed"))
    assert api.http.get("/admin").status_code == 200
    assert _figure(api, "sorafeed_answers_from_memory") == hits + 1
    assert _figure(api, "sorafeed_answers_computed") == misses
    api.close()


@pytest.fixture
def at_a_shell(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run a command on the databases of this test."""
    for name, url in (
        ("DATABASE", settings.database_url),
        ("DAGSTER", settings.database_url),
        ("REDIS", settings.redis_url),
    ):
        monkeypatch.setenv(f"SORAFEED_{name}_URL", str(url))
    return partial(answer, folder=settings.data_dir)


def _terms(api: Api) -> list[str]:
    return [node["term"] for node in api.ask(TERMS)["terms"]["nodes"]]


def test_a_display_and_a_playlist_of_the_command_are_heard(
    reader: Api, engine: Engine, at_a_shell: Callable[..., str], tmp_path: Path
) -> None:
    add_posts(engine, "cat", 3)
    file = tmp_path / "show.csv"
    file.write_text("search_term,video_count,fetch_mode,format\ncat,2,newest,mixed\n")
    wait_until(lambda: reader.http.get("/readyz").json()["channel"] == "ok")
    assert reader.ask(CODES)["displays"]["nodes"] == []
    at_a_shell("displays", "add", "Hall", "--code", "HALL01")
    wait_until(lambda: reader.ask(CODES)["displays"]["nodes"] == [{"id": "HALL01"}], seconds=30.0)
    assert _terms(reader) == []
    at_a_shell("playlists", "import", file, "--display", "HALL01")
    wait_until(lambda: _terms(reader) == ["cat"], seconds=30.0)


def test_a_display_is_added_while_redis_is_away(
    engine: Engine, at_a_shell: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SORAFEED_REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
    assert "HALL01" in at_a_shell("displays", "add", "Hall", "--code", "HALL01")
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM displays")) == 1


def test_a_term_tracked_by_a_preview_is_heard(admin: Api, engine: Engine) -> None:
    add_posts(engine, "many", MOST_COUNTED + 1)
    assert _terms(admin) == []
    admin.ask('{ count(search: "many") { total } }')
    # In the same process at once.
    assert _terms(admin) == ["many"]


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


def _run(work: Callable[[ResponseCache[str]], object], life: float = 5.0) -> object:
    async def run() -> object:
        answers: ResponseCache[str] = ResponseCache(life)
        answers.trust(trusted=True)
        return await work(answers)  # type: ignore[misc]  # a coroutine function

    return asyncio.run(run())


def test_what_was_begun_before_a_change_is_not_kept() -> None:
    async def work(answers: ResponseCache[str]) -> None:
        gate = asyncio.Event()

        async def slow(tags: set[str]) -> str:
            tags.add("a")
            await gate.wait()
            return "old"

        async def new(tags: set[str]) -> str:
            tags.add("a")
            return "new"

        asked = asyncio.create_task(answers.get("key", slow))
        await asyncio.sleep(0)
        answers.drop(["a"])
        assert await answers.get("key", new) == "new"
        gate.set()
        assert await asked == "old"
        assert await answers.get("key", new) == "new"

    _run(work)


def test_a_computation_that_began_without_the_channel_is_not_kept() -> None:
    async def work(answers: ResponseCache[str]) -> None:
        gate = asyncio.Event()

        async def slow(_tags: set[str]) -> str:
            await gate.wait()
            return "old"

        async def new(_tags: set[str]) -> str:
            return "new"

        answers.trust(trusted=False)
        asked = asyncio.create_task(answers.get("key", slow))
        await asyncio.sleep(0)
        answers.trust(trusted=True)
        gate.set()
        assert await asked == "old"
        assert await answers.get("key", new) == "new"

    _run(work)


@pytest.mark.parametrize("tags", [["a"], ["all"]])
def test_an_answer_is_dropped_by_its_tag_or_by_all(tags: list[str]) -> None:
    async def work(answers: ResponseCache[str]) -> None:
        made = iter("123")

        async def compute(read: set[str]) -> str:
            read.add("a")
            return next(made)

        assert await answers.get("key", compute) == "1"
        answers.drop(["b"])
        assert await answers.get("key", compute) == "1"
        answers.drop(tags)
        assert await answers.get("key", compute) == "2"
        answers.trust(trusted=False)
        answers.trust(trusted=True)
        assert await answers.get("key", compute) == "3"

    _run(work)


def test_who_keeps_asking_never_waits_and_gets_nothing_old() -> None:
    async def run() -> None:
        now = [0.0]
        answers: ResponseCache[float] = ResponseCache(5.0, lambda: now[0])
        answers.trust(trusted=True)
        computed = []

        async def compute(tags: set[str]) -> float:
            tags.add("a")
            made = now[0]
            await asyncio.sleep(0)
            computed.append(made)
            return made

        await answers.get("key", compute)
        for _ in range(40):
            now[0] += 0.5
            assert now[0] - await answers.get("key", compute) < 5
            await asyncio.sleep(0.001)
        assert answers.misses == 1
        assert len(computed) == 6
        # An answer that is being recomputed during a change is not cached.
        now[0] = computed[-1] + 4.5
        await answers.get("key", compute)
        answers.drop(["a"])
        await asyncio.sleep(0.001)
        now[0] += 0.1
        assert await answers.get("key", compute) == now[0]

    asyncio.run(run())


async def compute(size: int, _tags: set[str]) -> str:
    return "x" * size


def _kept(bodies: dict[str, int], moments: list[float], **bounds: int) -> list[str]:
    """The keys that stay cached for answers of these sizes, computed at these times."""

    async def run() -> list[str]:
        now = [0.0]
        answers: ResponseCache[str] = ResponseCache(5.0, lambda: now[0], size_of=len, **bounds)
        answers.trust(trusted=True)

        for key, moment in zip(bodies, moments, strict=False):
            now[0] = moment
            await answers.get(key, partial(compute, bodies[key]))
        now[0] = moments[-1]
        answers.expire()
        assert answers.size == sum(bodies[key] for key in answers)
        return list(answers)

    return asyncio.run(run())


def test_answers_are_kept_up_to_a_number_and_a_size() -> None:
    five = dict.fromkeys("abcde", 10)
    assert _kept(five, [0.0] * 5) == ["a", "b", "c", "d", "e"]
    assert _kept(five, [0.0] * 5, most=3) == ["c", "d", "e"]
    assert _kept(five, [0.0] * 5, most_bytes=25) == ["d", "e"]
    # An answer that is larger than the cache evicts no other.
    assert _kept({"a": 10, "b": 30, "c": 10}, [0.0] * 3, most_bytes=25) == ["a", "c"]


def test_answers_that_are_too_old_are_not_kept() -> None:
    five = dict.fromkeys("abcde", 10)
    assert _kept(five, [0.0, 1.0, 2.0, 3.0, 4.0, 6.5]) == ["c", "d", "e"]


def test_an_answer_computed_anew_takes_the_place_of_the_old_one() -> None:
    async def run() -> None:
        answers: ResponseCache[str] = ResponseCache(5.0, size_of=len)
        answers.trust(trusted=True)

        async def compute(tags: set[str]) -> str:
            tags.add("a")
            return "x" * 10

        for _ in range(3):
            await answers.get("key", compute)
            answers.drop(["a"])
        await answers.get("key", compute)
        assert answers.size == 10
        answers.drop(["all"])
        assert answers.size == 0

    asyncio.run(run())


def test_an_error_in_advance_is_told_to_who_asks_next() -> None:
    async def run() -> None:
        now = [0.0]
        answers: ResponseCache[str] = ResponseCache(5.0, lambda: now[0])
        answers.trust(trusted=True)

        async def good(_tags: set[str]) -> str:
            return "good"

        async def bad(_tags: set[str]) -> str:
            raise ValueError("away")

        await answers.get("key", good)
        now[0] = 4.0
        assert await answers.get("key", bad) == "good"
        await asyncio.sleep(0.001)
        now[0] = 5.5
        with pytest.raises(ValueError, match="away"):
            await answers.get("key", bad)

    asyncio.run(run())


def test_nothing_is_kept_without_the_channel() -> None:
    async def work(answers: ResponseCache[str]) -> None:
        made = iter("123")

        async def compute(_tags: set[str]) -> str:
            return next(made)

        answers.trust(trusted=False)
        assert [await answers.get("key", compute) for _ in range(3)] == ["1", "2", "3"]

    _run(work)


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
    assert "data: []" in list(lines)
    stream.__exit__(None, None, None)
    client.close()
