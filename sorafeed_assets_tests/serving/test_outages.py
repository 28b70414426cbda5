"""Outages of Redis or Postgres: reads continue where possible, and no recorded play is lost."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Timer

import httpx
import pytest
from redis import Redis
from sqlalchemy import text

from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.storage.cache.redis import (
    ADMIN_KEY,
    CHANGES,
    playback_key,
    timeline_key,
)
from sorafeed_assets.storage.timelines.playback import set_playback_state
from sorafeed_assets_tests.metrics import Sample, samples_of
from sorafeed_assets_tests.serving.client import Api, make_display, newest, token_of, wait_until
from sorafeed_assets_tests.serving.own_servers import Servers
from sorafeed_assets_tests.wall import add_posts, hold_snapshots

NEXT = "/api/displays/AWAY01/next"
PLAYED = "/api/displays/AWAY01/played"


@pytest.fixture
def api(servers: Servers) -> Iterator[Api]:
    """An admin of an API on them, and a display that plays."""
    add_posts(servers.engine, "cat", 60)
    token = token_of(servers.engine, Role.ADMIN)
    with (
        serving(servers.settings, Listening(free_port())) as url,
        closing(Api(url, token)) as client,
    ):
        make_display(client, "AWAY01", newest("cat", 40))
        yield client


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


def test_without_postgres_players_wait_for_a_redis_that_is_late(servers: Servers, api: Api) -> None:
    wait_until(lambda: _status(api) == "ready")
    assert api.http.get(NEXT).is_success
    servers.postgres.stop()
    pid = servers.redis.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    later = Timer(0.7, os.kill, (pid, signal.SIGCONT))
    later.start()
    try:
        assert api.http.get(NEXT).status_code == 200
    finally:
        later.join()


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


def test_without_postgres_a_process_knows_the_tokens_of_players_that_it_never_served(
    servers: Servers, api: Api
) -> None:
    wait_until(lambda: _status(api) == "ready")
    secret = token_of(servers.engine, Role.DISPLAY, "AWAY01")
    # The first reading that ends may have begun before.
    for _ in range(2):
        before = _tokens_read(api)
        wait_until(lambda: _tokens_read(api) != before)  # noqa: B023  # called at once
    servers.postgres.stop()
    headers = {"authorization": f"Bearer {secret}"}
    assert httpx.get(f"{api.url}{NEXT}", headers=headers, timeout=60).status_code == 200


def _tokens_read(api: Api) -> object:
    """When the process read which tokens there are."""
    return api.http.get("/readyz").json()["background"]["tokens"]["last_success"]


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


def test_a_server_that_starts_without_postgres_is_ready_when_it_is_back(servers: Servers) -> None:
    add_posts(servers.engine, "cat", 60)
    token = token_of(servers.engine, Role.ADMIN)
    with (
        serving(servers.settings, Listening(free_port())) as url,
        closing(Api(url, token)) as api,
    ):
        make_display(api, "AWAY01", newest("cat", 40))
    servers.postgres.stop()
    with (
        serving(servers.settings, Listening(free_port())) as url,
        closing(Api(url, token)) as api,
    ):
        # Redis has the queue, but no process has seen the token yet.
        for refused in (api.http.get(NEXT), api.post("{ __typename }")):
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert refused.json()["error"]["code"] == "UNAVAILABLE"
        assert api.http.get("/healthz").status_code == 200
        assert _status(api) == "not ready"
        servers.start_postgres()
        wait_until(lambda: _status(api) == "ready")
        assert _told(api) == ("playing", 0)


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
