"""Redis and Postgres stop while players never pause: no acknowledged play is lost or doubled."""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.services.cache.write import check_timeline_cache
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.storage.cache.redis import create_redis_client
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.serving.client import Api, make_display, newest, token_of, wait_until
from sorafeed_assets_tests.serving.own_servers import Servers
from sorafeed_assets_tests.wall import add_posts


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


def _status(api: Api) -> str:
    return str(api.http.get("/readyz").json()["status"])


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
        assert api.http.get("/api/displays/AWAY01/next").status_code == 200
        assert _status(api) == "not ready"
        assert api.refusal("{ terms { nodes { term } } }")["extensions"]["code"] == "UNAVAILABLE"
        servers.start_postgres()
    players.go_on()
    _nothing_is_lost(servers, players)
    assert set(players.refused) == {503}
