"""Outages of Redis or Postgres: reads continue where possible, and no recorded play is lost."""

import json
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from redis import Redis
from sqlalchemy import Engine, text

from sorafeed_assets.launch.embedded import EmbeddedPostgres, EmbeddedRedis, free_port
from sorafeed_assets.services.cache.write import check_timeline_cache
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.cache.redis import (
    ADMIN_KEY,
    CHANGES,
    create_redis_client,
    playback_key,
    timeline_key,
)
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets.storage.postgres.migrate import migrate
from sorafeed_assets.storage.timelines.playback import set_playback_state
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.metrics import Sample, samples_of
from sorafeed_assets_tests.serving.client import Api, make_display, newest, token_of, wait_until
from sorafeed_assets_tests.wall import add_posts, hold_snapshots

NEXT = "/api/displays/AWAY01/next"
PLAYED = "/api/displays/AWAY01/played"


class Servers:
    """Servers that a test stops and restarts on the same ports."""

    def __init__(self, folder: Path, *, persist: bool = False) -> None:
        self.postgres = EmbeddedPostgres(folder / "postgres", {"fsync": "off"})
        self.redis = EmbeddedRedis(folder / "redis", persist=persist)
        self._ports = (free_port(), free_port())
        self.start_postgres()
        self.start_redis()
        url = self.postgres.create_database("sorafeed")
        self.settings = Settings.model_validate(
            {"database_url": url, "redis_url": self.redis.url, "data_dir": folder}
        )
        self.engine: Engine = create_database_engine(url, self.settings)
        migrate(self.engine)

    def start_postgres(self) -> None:
        self.postgres.start(self._ports[0])

    def start_redis(self) -> None:
        self.redis.start(self._ports[1])

    def kill_redis(self) -> None:
        """Kill it, so that only what it has saved remains."""
        assert self.redis.pid is not None
        os.kill(self.redis.pid, signal.SIGKILL)
        wait_until(lambda: free_port(self._ports[1]) == self._ports[1])

    def stop(self) -> None:
        self.engine.dispose()
        self.redis.stop()
        self.postgres.stop()


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    """A PostgreSQL and a Redis for this test only."""
    servers = Servers(tmp_path)
    yield servers
    servers.stop()


@pytest.fixture
def api(servers: Servers) -> Iterator[Api]:
    """An admin of an API on them, and a display that plays."""
    add_posts(servers.engine, "cat", 60)
    with serving(servers.settings, Listening(free_port())) as url:
        client = Api(url, token_of(servers.engine, Role.ADMIN))
        make_display(client, "AWAY01", newest("cat", 40))
        yield client
        client.close()


@pytest.fixture
def forgetful(tmp_path: Path) -> Iterator[Servers]:
    """Servers whose Redis restarts after a kill with its last saved state."""
    servers = Servers(tmp_path, persist=True)
    yield servers
    servers.stop()


def _status(api: Api) -> str:
    return str(api.http.get("/readyz").json()["status"])


def test_without_redis_everything_works_and_is_written_when_it_is_back(
    servers: Servers, api: Api
) -> None:
    servers.redis.stop()
    wait_until(lambda: _status(api) == "degraded")
    head = api.http.get(NEXT).json()["videos"][0]
    played = api.http.post(PLAYED, json={"entry": head["entry"]})
    assert played.is_success
    assert api.http.get(NEXT).json()["position"] == 1
    name = '{ display(id: "AWAY01") { name } }'
    assert api.ask('mutation { renameDisplay(id: "AWAY01", name: "New") { problem } }')
    assert api.ask(name)["display"]["name"] == "New"
    # Answers are not cached, because changes would be missed.
    with servers.engine.begin() as connection:
        connection.execute(text("UPDATE displays SET name = 'Newer'"))
    assert api.ask(name)["display"]["name"] == "Newer"
    servers.start_redis()
    wait_until(lambda: _status(api) == "ready")
    assert api.http.get(NEXT).json()["position"] == 1
    wait_until(lambda: "state" in api.http.get(NEXT).json())


def test_without_redis_pages_hear_of_the_changes_of_their_server(
    servers: Servers, api: Api
) -> None:
    wait_until(lambda: _status(api) == "ready")
    with api.http.stream("GET", "/api/displays/AWAY01/events") as stream:
        lines = stream.iter_lines()
        assert "data: []" in [next(lines) for _ in range(3)]
        servers.redis.stop()
        wait_until(lambda: _status(api) == "degraded")
        api.ask('mutation { pause(displayId: "AWAY01") { problem } }')
        assert next(line for line in lines if "data: [" in line) == 'data: ["display:AWAY01"]'


def test_pages_hear_of_a_change_that_redis_hangs_at(servers: Servers, api: Api) -> None:
    wait_until(lambda: _status(api) == "ready")
    with api.http.stream("GET", "/api/displays/AWAY01/events") as stream:
        lines = stream.iter_lines()
        assert "data: []" in [next(lines) for _ in range(3)]
        assert servers.redis.pid is not None
        os.kill(servers.redis.pid, signal.SIGSTOP)
        try:
            api.ask('mutation { pause(displayId: "AWAY01") { problem } }')
            assert next(line for line in lines if "data: [" in line) == 'data: ["display:AWAY01"]'
        finally:
            os.kill(servers.redis.pid, signal.SIGCONT)


def test_figures_that_cannot_be_read_are_left_out(servers: Servers, api: Api) -> None:
    def samples() -> dict[Sample, float]:
        response = api.http.get("/metrics")
        return samples_of(response.text) if response.is_success else {}

    low = ("sorafeed_displays", (("queue", "low"),))
    servers.redis.stop()
    wait_until(lambda: samples()["sorafeed_channel_up", ()] == 0)
    assert samples()["sorafeed_database_up", ()] == 1
    assert samples()[low] == 0
    servers.postgres.stop()
    wait_until(lambda: samples().get(("sorafeed_database_up", ())) == 0)
    assert low not in samples()
    assert ("sorafeed_react_leads", ()) not in samples()
    servers.start_postgres()
    wait_until(lambda: low in samples())


def test_without_postgres_a_channel_that_comes_back_keeps_tokens_valid(
    servers: Servers, api: Api
) -> None:
    wait_until(lambda: _status(api) == "ready")
    assert api.http.get(NEXT).status_code == 200
    servers.postgres.stop()
    with Redis.from_url(servers.redis.url, decode_responses=True) as redis:
        before = {client["id"] for client in redis.client_list(_type="pubsub")}
        redis.client_kill_filter(_type="pubsub")
        wait_until(lambda: bool({c["id"] for c in redis.client_list(_type="pubsub")} - before))
    wait_until(lambda: api.http.get("/readyz").json()["channel"] == "ok")
    assert api.http.get(NEXT).status_code == 200


class Players:
    """Players that never pause; each repeats a play until it is acknowledged.

    Two players share each display, like two windows with one display's address.
    """

    def __init__(self, api: Api, codes: Sequence[str]) -> None:
        self.acknowledged: list[str] = []
        self.reads = 0
        self.refused: list[int] = []
        self.api = api
        self._stop = threading.Event()
        self._threads = ThreadPoolExecutor(2 * len(codes))
        self._running = [self._threads.submit(self._play, code) for code in [*codes, *codes]]

    def _play(self, code: str) -> None:
        headers = self.api.http.headers
        with httpx.Client(base_url=self.api.url, headers=headers, timeout=30) as client:
            while not self._stop.is_set():
                queue = client.get(f"/api/displays/{code}/next")
                if self._is_refused(queue):
                    continue
                self.reads += 1
                entry = queue.json()["videos"][0]["entry"]
                body = {"entry": entry}
                while self._is_refused(client.post(f"/api/displays/{code}/played", json=body)):
                    if self._stop.is_set():
                        return
                self.acknowledged.append(entry)

    def _is_refused(self, response: httpx.Response) -> bool:
        if response.is_success:
            return False
        self.refused.append(response.status_code)
        assert response.headers.get("retry-after") == "1", response.text
        self._stop.wait(0.05)
        return True

    def go_on(self) -> None:
        """Wait until each display has been read and played again."""
        plays, reads = len(self.acknowledged), self.reads
        wait_until(lambda: len(self.acknowledged) >= plays + 20 and self.reads >= reads + 20)

    def stop(self) -> None:
        """Stop the players after their current calls."""
        self._stop.set()
        for player in self._running:
            player.result(60)
        self._threads.shutdown()


CODES = ("AWAY01", "AWAY02", "AWAY03")


@pytest.fixture
def players(servers: Servers) -> Iterator[Players]:
    """Six concurrent players of three displays."""
    add_posts(servers.engine, "cat", 60)
    settings = servers.settings.model_copy(update={"api_calls_per_second": 100_000})
    with serving(settings, Listening(free_port())) as url:
        api = Api(url, token_of(servers.engine, Role.ADMIN))
        for code in CODES:
            make_display(api, code, newest("cat", 40))
        players = Players(api, CODES)
        yield players
        players.stop()
        api.close()


_PLAYS = "SELECT timeline_video_id::text FROM video_history"
_HEADS = "SELECT id, current_timeline_video_id::text FROM displays"


def _nothing_is_lost(servers: Servers, players: Players) -> None:
    """Assert that acknowledged plays are recorded once, and snapshots follow Postgres."""
    players.stop()
    api = players.api
    wait_until(lambda: _status(api) == "ready")
    plays = [row[0] for row in run(servers.engine, _PLAYS)]
    heads = dict(run(servers.engine, _HEADS))
    assert len(plays) == len(set(plays))
    assert set(players.acknowledged) <= set(plays)
    for code, head in heads.items():
        queue = api.http.get(f"/api/displays/{code}/next").json()
        assert queue["videos"][0]["entry"] == head
    with create_redis_client(servers.redis.url) as redis:
        problems = check_timeline_cache(servers.engine, redis)
        assert problems == {code: [] for code in CODES}


def test_redis_stopped_and_started_under_load(servers: Servers, players: Players) -> None:
    players.go_on()
    for end in (servers.redis.stop, servers.kill_redis):
        end()
        players.go_on()
        servers.start_redis()
        players.go_on()
    _nothing_is_lost(servers, players)
    # Losing Redis loses only speed: no request was refused.
    assert players.refused == []


def test_postgres_stopped_and_started_under_load(servers: Servers, players: Players) -> None:
    api = players.api
    for _ in range(2):
        players.go_on()
        servers.postgres.stop()
        before = len(players.refused)
        wait_until(lambda: len(players.refused) >= before + 20)  # noqa: B023  # called at once
        assert api.http.get(NEXT).status_code == 200
        assert _status(api) == "not ready"
        assert api.refusal("{ terms { nodes { term } } }")["extensions"]["code"] == "UNAVAILABLE"
        servers.start_postgres()
    players.go_on()
    _nothing_is_lost(servers, players)
    assert set(players.refused) == {503}


def test_what_redis_kept_through_a_kill_is_written_anew(forgetful: Servers) -> None:
    add_posts(forgetful.engine, "cat", 60)
    token = token_of(forgetful.engine, Role.ADMIN)
    with (
        serving(forgetful.settings, Listening(free_port())) as url,
        closing(Api(url, token)) as api,
    ):
        make_display(api, "AWAY01", newest("cat", 40))
        make_display(api, "GONE01", newest("cat", 40))
        old = api.http.get(NEXT).json()
        with Redis.from_url(forgetful.redis.url) as redis:
            redis.save()
        api.http.post(PLAYED, json={"entry": old["videos"][0]["entry"]})
        api.ask('mutation { pause(displayId: "AWAY01") { problem } }')
        api.ask('mutation { deleteDisplay(id: "GONE01") { id } }')
        forgetful.kill_redis()
        wait_until(lambda: _status(api) == "degraded")
        with (
            forgetful.engine.begin() as connection,
            Redis.from_url(forgetful.redis.url, decode_responses=True) as redis,
        ):
            # A player never gets the old values of Redis, even before they are replaced.
            hold_snapshots(connection)
            forgetful.start_redis()
            wait_until(lambda: api.http.get("/readyz").json()["channel"] == "ok")
            assert redis.get(playback_key("AWAY01")) == "playing"
            assert _told(api) == ("paused", 1)
        with Redis.from_url(forgetful.redis.url, decode_responses=True) as redis:
            wait_until(lambda: _status(api) == "ready")
            assert _told(api) == ("paused", 1)
            assert "Paused" in api.http.get("/admin/displays/AWAY01").text
            assert json.loads(redis.get(timeline_key("AWAY01")) or "{}")["position"] == 1
            # Only the version, which keeps a late play from being written.
            assert redis.keys("*GONE01") == ["sorafeed:version:GONE01"]
            assert redis.exists(ADMIN_KEY)


def _told(api: Api) -> tuple[str, int]:
    body = api.http.get(NEXT).json()
    return body["state"], body["position"]


def test_what_redis_kept_is_written_anew_by_a_server_that_starts(forgetful: Servers) -> None:
    add_posts(forgetful.engine, "cat", 60)
    token = token_of(forgetful.engine, Role.ADMIN)
    with (
        serving(forgetful.settings, Listening(free_port())) as url,
        closing(Api(url, token)) as api,
    ):
        make_display(api, "AWAY01", newest("cat", 40))
    with forgetful.engine.begin() as connection:
        set_playback_state(connection, "AWAY01", "paused")
    with (
        serving(forgetful.settings, Listening(free_port())) as url,
        closing(Api(url, token)) as api,
    ):
        assert _told(api) == ("paused", 0)


def test_all_processes_are_told_when_one_hears_again(servers: Servers, api: Api) -> None:
    wait_until(lambda: _status(api) == "ready")
    with Redis.from_url(servers.redis.url, decode_responses=True) as redis:
        listeners = [str(client["id"]) for client in redis.client_list(_type="pubsub")]
        with redis.pubsub(ignore_subscribe_messages=True) as channel:
            channel.subscribe(CHANGES)
            for listener in listeners:
                redis.client_kill_filter(_id=listener)

            def is_told() -> bool:
                message = channel.get_message()
                return message is not None and message["data"] == '["all"]'

            wait_until(is_told)
