"""Plays over HTTP: many in a call, many at the same time, and during a kill of the API."""

import os
import signal
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from sorafeed_assets.services.cache.write import check_timeline_cache
from sorafeed_assets.services.timelines.checks import check_queues
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.cache.redis import create_redis_client
from sorafeed_assets_tests.catalogue import queue_of, run
from sorafeed_assets_tests.serving.client import Api, make_display, newest, token_of, wait_until
from sorafeed_assets_tests.serving.processes import served
from sorafeed_assets_tests.wall import add_posts

CODES = [f"PLAY{number:02}" for number in range(8)]


@pytest.fixture
def wall(admin: Api, engine: Engine) -> list[str]:
    """Displays with six videos per loop."""
    add_posts(engine, "cat", 20)
    for code in CODES:
        make_display(admin, code, newest("cat", 6))
    return CODES


def _told(engine: Engine, code: str, place: int = 0, **more: object) -> dict[str, Any]:
    return {"display": code, "entry": str(queue_of(engine, code)[place].id), **more}


def _tell(api: Api, plays: list[Any]) -> httpx.Response:
    return api.http.post("/api/plays", json={"plays": plays})


def test_each_play_of_a_call_is_answered_for_itself(
    reader: Api, engine: Engine, wall: list[str]
) -> None:
    unknown: dict[str, Any] = {"display": wall[1], "entry": str(uuid.uuid4())}
    plays = [
        _told(engine, wall[0]),
        _told(engine, wall[0]),
        _told(engine, wall[0], 1, skipped=True),
        unknown,
        {"display": "NOSUCH", "entry": str(uuid.uuid4())},
        _told(engine, wall[2]),
    ]
    response = _tell(reader, plays)
    assert response.status_code == 200
    answers = response.json()["plays"]
    assert [answer["status"] for answer in answers] == [200, 200, 200, 404, 404, 200]
    assert [(a["display"], a["entry"]) for a in answers] == [
        (play["display"], play["entry"]) for play in plays
    ]
    assert answers[0] == answers[1]
    assert answers[2]["skipped"]
    assert (answers[2]["position"], answers[2]["queued"]) == (2, 5)
    assert answers[3]["error"]["code"] == "NOT_FOUND"
    # A repeat after a lost answer records nothing twice.
    again = _tell(reader, plays).json()["plays"]
    assert [answer["status"] for answer in again] == [200, 200, 200, 404, 404, 200]
    assert again[0]["played_at"] == answers[0]["played_at"]
    assert len(run(engine, "SELECT FROM video_history")) == 3
    # The call for a single play answers the same.
    path = f"/api/displays/{wall[2]}/played"
    single = reader.http.post(path, json={"entry": plays[5]["entry"]}).json()
    about = {"display": wall[2], "entry": plays[5]["entry"], "status": 200}
    assert {**single, **about} == answers[5]
    head = reader.http.get(f"/api/displays/{wall[0]}/next").json()["videos"][0]
    assert head["entry"] == answers[2]["head"]


def test_a_whole_queue_is_told_in_one_call(reader: Api, engine: Engine, wall: list[str]) -> None:
    plays = [_told(engine, code, place) for code in wall for place in range(5)]
    answers = _tell(reader, plays).json()["plays"]
    assert [answer["status"] for answer in answers] == [200] * 40
    assert [answer["position"] for answer in answers] == [1, 2, 3, 4, 5] * 8
    assert {answer["queued"] for answer in answers} == {5}
    assert check_queues(engine, wall, 5) == {}


def test_bad_input_is_refused_by_its_place_before_anything_is_written(
    reader: Api, engine: Engine, wall: list[str]
) -> None:
    good = _told(engine, wall[0])
    for wrong, field in (
        (5, "plays[1]"),
        ({**good, "display": "x"}, "plays[1].display"),
        ({"entry": good["entry"]}, "plays[1].display"),
        ({**good, "display": 5}, "plays[1].display"),
        ({**good, "entry": "x"}, "plays[1].entry"),
        ({"display": wall[0]}, "plays[1].entry"),
        ({**good, "skipped": "no"}, "plays[1].skipped"),
    ):
        refused = _tell(reader, [good, wrong])
        assert (refused.status_code, refused.json()["error"]["field"]) == (400, field)
    bodies: list[dict[str, object]] = [{}, {"plays": {}}, {"plays": [good] * 501}]
    for body in bodies:
        refused = reader.http.post("/api/plays", json=body)
        assert (refused.status_code, refused.json()["error"]["field"]) == (400, "plays")
    assert run(engine, "SELECT FROM video_history") == []
    assert _tell(reader, []).json() == {"plays": []}
    assert len(_tell(reader, [good] * 500).json()["plays"]) == 500
    assert len(run(engine, "SELECT FROM video_history")) == 1


def test_the_token_of_a_display_tells_plays_of_this_display_alone(
    engine: Engine, wall: list[str], connect: Callable[[str | None], Api], server: str
) -> None:
    secret = token_of(engine, Role.DISPLAY, wall[0])
    player = connect(secret)
    mine, other = (_told(engine, code) for code in wall[:2])
    assert _tell(player, [mine, other]).status_code == 403
    assert run(engine, "SELECT FROM video_history") == []
    assert _tell(player, [mine]).json()["plays"][0]["status"] == 200
    # A player page has its token in a cookie, which the display's code names.
    cookies = {f"sorafeed_player_{wall[0]}": secret}
    headers = {"sec-fetch-site": "same-origin"}
    with httpx.Client(base_url=server, cookies=cookies, headers=headers) as page:
        path, body = "/api/plays", {"plays": [mine]}
        assert page.post(path, json=body).status_code == 401
        assert page.post(f"{path}?display={wall[1]}", json=body).status_code == 401
        assert page.post(f"{path}?display={wall[0]}", json=body).status_code == 200
        refused = page.post(f"{path}?display={wall[0]}", json={"plays": [other]})
        assert refused.status_code == 403
        page.headers["sec-fetch-site"] = "cross-site"
        assert page.post(f"{path}?display={wall[0]}", json=body).status_code == 403


def test_players_at_the_same_time_are_each_answered(
    reader: Api, engine: Engine, settings: Settings, wall: list[str]
) -> None:
    def play(code: str) -> list[int]:
        positions = []
        for _ in range(14):
            entry = reader.http.get(f"/api/displays/{code}/next").json()["videos"][0]["entry"]
            told = reader.http.post(f"/api/displays/{code}/played", json={"entry": entry})
            positions.append(told.json()["position"])
        return positions

    with ThreadPoolExecutor(len(wall)) as threads:
        for positions in threads.map(play, wall):
            assert positions == [(1 + number) % 6 for number in range(14)]
    assert len(run(engine, "SELECT FROM video_history")) == 14 * len(wall)
    with create_redis_client(str(settings.redis_url)) as redis:
        assert not any(check_timeline_cache(engine, redis, wall).values())


class _Telling:
    """Players that send plays until they are stopped, and note acknowledged ones."""

    def __init__(self, url: str, token: str, codes: list[str]) -> None:
        self.url = url
        self.acknowledged: set[str] = set()
        self.stop = Event()
        self._headers = {"authorization": f"Bearer {token}"}
        self._codes = codes

    def one_by_one(self, code: str) -> None:
        with httpx.Client(headers=self._headers, timeout=10) as http:
            while not self.stop.is_set():
                try:
                    entry = self._next(http, code)[0]
                    path = f"{self.url}/api/displays/{code}/played"
                    if http.post(path, json={"entry": entry}).status_code == 200:
                        self.acknowledged.add(entry)
                except (httpx.TransportError, IndexError):
                    self.stop.wait(0.02)

    def together(self, codes: list[str]) -> None:
        with httpx.Client(headers=self._headers, timeout=10) as http:
            while not self.stop.is_set():
                try:
                    plays = [
                        {"display": code, "entry": entry}
                        for code in codes
                        for entry in self._next(http, code)[:2]
                    ]
                    answer = http.post(f"{self.url}/api/plays", json={"plays": plays})
                    if answer.status_code == 200:
                        told = answer.json()["plays"]
                        self.acknowledged |= {e["entry"] for e in told if e["status"] == 200}
                except httpx.TransportError:
                    self.stop.wait(0.02)

    def _next(self, http: httpx.Client, code: str) -> list[str]:
        answer = http.get(f"{self.url}/api/displays/{code}/next")
        return [video["entry"] for video in answer.json().get("videos", [])]


@pytest.mark.usefixtures("server")
def test_an_api_that_is_killed_loses_no_acknowledged_play_and_doubles_none(
    settings: Settings, engine: Engine, wall: list[str]
) -> None:
    token = token_of(engine, Role.READER)
    free = settings.model_copy(update={"api_calls_per_second": 100_000})
    acknowledged: set[str] = set()
    for enough in (15, 40):
        with served(free) as api:
            telling = _Telling(api.url, token, wall)
            with ThreadPoolExecutor(5) as threads:
                works = [threads.submit(telling.one_by_one, code) for code in wall[:4]]
                works.append(threads.submit(telling.together, wall[4:]))
                wait_until(lambda: len(telling.acknowledged) >= enough)  # noqa: B023  # at once
                os.kill(api.pid, signal.SIGKILL)
                telling.stop.wait(0.1)
                telling.stop.set()
                for work in works:
                    work.result(60)
        acknowledged |= telling.acknowledged
    recorded = [row[0] for row in run(engine, "SELECT timeline_video_id::text FROM video_history")]
    assert len(set(recorded)) == len(recorded)
    assert acknowledged <= set(recorded)
    assert check_queues(engine, wall, 5) == {}
    # A new server writes the snapshots that the kill left unwritten.
    with served(free), create_redis_client(str(settings.redis_url)) as redis:
        assert not any(check_timeline_cache(engine, redis, wall).values())
