"""A player's calls: next videos, plays, and being online."""

import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from sorafeed_assets.services.tokens import Role
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.serving.client import Api, make_display, newest, token_of, wait_until
from sorafeed_assets_tests.wall import add_posts

NEXT = "/api/displays/PLAY01/next"
PLAYED = "/api/displays/PLAY01/played"


@pytest.fixture
def player(admin: Api, engine: Engine, connect: Callable[[str | None], Api]) -> Api:
    """The player of a display with six videos per loop."""
    add_posts(engine, "cat", 20)
    make_display(admin, "PLAY01", newest("cat", 6))
    return connect(token_of(engine, Role.DISPLAY, "PLAY01"))


def test_next_has_what_a_player_needs(player: Api) -> None:
    body = player.http.get(NEXT).json()
    assert {key: body[key] for key in ("display", "loop", "position", "state")} == {
        "display": "PLAY01", "loop": 0, "position": 0, "state": "playing",
    }  # fmt: skip
    assert isinstance(body["build"], int)
    assert [video["position"] for video in body["videos"]] == [0, 1, 2, 3, 4]
    assert len(player.http.get(NEXT, params={"count": 3}).json()["videos"]) == 3
    for wrong in ("2", "6", "x", "-3", "٣", "9" * 5000):
        refused = player.http.get(NEXT, params={"count": wrong})
        assert refused.json()["error"]["field"] == "count", refused.text


def test_an_unchanged_queue_is_304(player: Api) -> None:
    first = player.http.get(NEXT)
    etag = first.headers["etag"]
    assert not etag.startswith("W/")
    again = player.http.get(NEXT, headers={"if-none-match": f'"other", {etag}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == etag
    fewer = player.http.get(NEXT, params={"count": 3}, headers={"if-none-match": etag})
    assert fewer.status_code == 200
    player.http.post(PLAYED, json={"entry": first.json()["videos"][0]["entry"]})
    assert player.http.get(NEXT, headers={"if-none-match": etag}).status_code == 200


def test_a_play_is_recorded_once_and_tops_up(player: Api, engine: Engine) -> None:
    videos = player.http.get(NEXT).json()["videos"]
    body = {"entry": videos[0]["entry"]}
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: player.http.post(PLAYED, json=body).json(), range(8)))
    assert all(answer == answers[0] for answer in answers)
    assert answers[0]["video"] == videos[0]["video"]
    assert answers[0]["head"] == videos[1]["entry"]
    assert answers[0]["queued"] == 5
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM video_history")) == 1
    assert [v["entry"] for v in player.http.get(NEXT).json()["videos"][:4]] == [
        video["entry"] for video in videos[1:]
    ]


def test_a_player_goes_through_the_loop_change(player: Api) -> None:
    seen: list[tuple[int, int, str]] = []
    for _ in range(14):
        head = player.http.get(NEXT).json()["videos"][0]
        seen.append((head["loop"], head["position"], head["video"]))
        player.http.post(PLAYED, json={"entry": head["entry"]})
    assert [place[:2] for place in seen] == [(n // 6, n % 6) for n in range(14)]
    assert len({video for _, _, video in seen}) == 14


def test_what_is_no_play_is_refused(player: Api) -> None:
    for body, field in (
        ({}, "entry"),
        ({"entry": 5}, "entry"),
        ({"entry": "x"}, "entry"),
        ({"entry": str(uuid.uuid4()), "skipped": "yes"}, "skipped"),
        ([], "body"),
    ):
        refused = player.http.post(PLAYED, json=body)
        assert (refused.status_code, refused.json()["error"]["field"]) == (400, field)
    assert player.http.post(PLAYED, content="{").json()["error"]["field"] == "content-type"
    unknown = player.http.post(PLAYED, json={"entry": str(uuid.uuid4())})
    assert unknown.status_code == 404


def test_only_the_head_begins(player: Api) -> None:
    videos = player.http.get(NEXT).json()["videos"]
    started = "/api/displays/PLAY01/started"
    assert player.http.post(started, json={"entry": videos[1]["entry"]}).json() == {"begun": False}
    assert player.http.post(started, json={"entry": videos[0]["entry"]}).json() == {"begun": True}
    assert player.http.post(started, json={"entry": videos[0]["entry"]}).json() == {"begun": False}
    assert player.http.get(NEXT).json()["videos"][0]["status"] == "playing"


def test_a_display_is_online_by_its_last_call(player: Api, admin: Api, engine: Engine) -> None:
    online = '{ display(id: "PLAY01") { isOnline lastSeen } }'
    assert admin.ask(online)["display"] == {"isOnline": False, "lastSeen": None}
    player.http.get(NEXT)
    wait_until(lambda: bool(admin.ask(online)["display"]["isOnline"]))
    with engine.begin() as connection:
        connection.execute(text("UPDATE displays SET last_ping = now() - interval '2 minutes'"))
    wait_until(lambda: not admin.ask(online)["display"]["isOnline"])


def test_a_lost_snapshot_comes_back_from_postgres(player: Api, settings: Settings) -> None:
    before = player.http.get(NEXT).json()
    with Redis.from_url(str(settings.redis_url)) as redis:
        redis.flushall()
        assert player.http.get(NEXT).json() == before
        assert redis.exists("sorafeed:timeline:PLAY01", "sorafeed:playback:PLAY01") == 2


_RUBBISH = (
    b"", b"{", b"null", b"5", b"[]", b"{}", b"\xff\xfe", b'{"build": 1}',
    b'{"build": 1, "loop": 0, "position": 0, "videos": [5]}',
    b'{"build": 1, "loop": 0, "position": 0, "videos": 5}',
    b'{"build": 1, "loop": 0, "position": 0, "videos": [{"video": null}]}',
)  # fmt: skip


@pytest.mark.parametrize("rubbish", _RUBBISH)
def test_rubbish_in_redis_is_repaired_from_postgres(
    player: Api, settings: Settings, rubbish: bytes
) -> None:
    before = player.http.get(NEXT).json()
    with Redis.from_url(str(settings.redis_url)) as redis:
        for key, wrong in (
            ("sorafeed:timeline:PLAY01", rubbish),
            ("sorafeed:playback:PLAY01", b"\xff" + rubbish),
        ):
            right = redis.get(key)
            redis.set(key, wrong)
            response = player.http.get(NEXT)
            assert response.status_code == 200, response.text
            assert response.json() == before
            assert redis.get(key) == right


def test_a_value_of_another_kind_in_redis_is_repaired_from_postgres(
    player: Api, settings: Settings
) -> None:
    before = player.http.get(NEXT).json()
    with Redis.from_url(str(settings.redis_url)) as redis:
        redis.delete("sorafeed:timeline:PLAY01")
        redis.rpush("sorafeed:timeline:PLAY01", "rubbish")
        assert player.http.get(NEXT).json() == before
        wait_until(lambda: redis.type("sorafeed:timeline:PLAY01") == b"string")


def test_rubbish_of_one_display_harms_no_other(player: Api, admin: Api, settings: Settings) -> None:
    make_display(admin, "OTHER1", newest("cat", 5))
    with Redis.from_url(str(settings.redis_url)) as redis:
        redis.set("sorafeed:timeline:OTHER1", b"\xff")
        redis.set(b"sorafeed:timeline:\xff", b"\xff")
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: player.http.get(NEXT).status_code, range(40)))
    assert set(found) == {200}
    # A change replaces the key, whatever its value.
    admin.ask('mutation { pause(displayId: "OTHER1") { problem } }')
    assert admin.http.get("/api/displays/OTHER1/next").json()["state"] == "paused"
