"""A change that is sent twice with one key is executed once."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving.graphql import execution, idempotency
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.playlists.rows import lock_displays
from sorafeed_assets.storage.postgres.locks import LockSpace, lock
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.serving.client import (
    CREATE_PLAYLIST,
    Api,
    make_display,
    newest,
    token_of,
    wait_until,
)
from sorafeed_assets_tests.wall import add_posts

CREATE = 'mutation { createDisplay(name: "Hall") { display { id name } } }'
COUNT = "SELECT count(*) FROM displays"


def _send(api: Api, key: str, query: str = CREATE, **variables: object) -> httpx.Response:
    body = {"query": query, "variables": variables}
    return api.http.post("/graphql", json=body, headers=[(b"idempotency-key", key.encode())])


@pytest.fixture
def two(settings: Settings, engine: Engine) -> Iterator[tuple[Api, Api]]:
    """Two servers on one database; the first waits a second for a lock."""
    add_posts(engine, "cat", 9)
    token = token_of(engine, Role.ADMIN)
    with ExitStack() as stack:
        apis = []
        for seconds in (1, 10):
            waiting = settings.model_copy(update={"lock_timeout_seconds": seconds})
            url = stack.enter_context(serving(waiting, Listening(free_port())))
            apis.append(Api(url, token))
            stack.callback(apis[-1].close)
        yield apis[0], apis[1]


def test_a_mutation_that_takes_long_is_answered_with_its_outcome(
    admin: Api, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_posts(engine, "cat", 9)
    make_display(admin, "LONG01", newest("cat", 5))
    monkeypatch.setattr(execution, "_TIME_SECONDS", 0.2)
    with ThreadPoolExecutor(1) as threads:
        with engine.begin() as connection:
            lock_displays(connection, ["LONG01"])
            asked = threads.submit(
                admin.post, CREATE_PLAYLIST, display="LONG01", name="x", blocks=[newest("cat", 3)]
            )
            time.sleep(1.0)
            assert not asked.done()
        body = asked.result(30).json()
    assert "errors" not in body
    assert body["data"]["createPlaylist"]["problem"] is None


def test_a_client_that_disconnects_does_not_stop_a_change(admin: Api, engine: Engine) -> None:
    add_posts(engine, "cat", 9)
    make_display(admin, "GONE01", newest("cat", 5))
    values: dict[str, Any] = {"display": "GONE01", "name": "x", "blocks": [newest("cat", 3)]}
    body = {"query": CREATE_PLAYLIST, "variables": values}
    with engine.begin() as connection:
        lock_displays(connection, ["GONE01"])
        with pytest.raises(httpx.ReadTimeout):
            admin.http.post("/graphql", json=body, timeout=0.5)
    shown = '{ display(id: "GONE01") { activePlaylist { id name } builds { playlistId } } }'

    def is_planned() -> bool:
        display = admin.ask(shown)["display"]
        active = display["activePlaylist"]
        return bool(active["name"] == "x" and active["id"] == display["builds"][0]["playlistId"])

    wait_until(is_planned)


def test_a_repeat_gets_the_first_answer(two: tuple[Api, Api], engine: Engine) -> None:
    first = _send(two[0], "a key")
    assert "idempotent-replayed" not in first.headers
    for api in two:
        again = _send(api, "a key")
        assert again.content == first.content
        assert again.headers["idempotent-replayed"] == "true"
    assert run(engine, COUNT) == [(1,)]
    assert _send(two[0], "another key").json() != first.json()
    assert run(engine, COUNT) == [(2,)]


def test_keys_are_of_one_token(two: tuple[Api, Api], engine: Engine) -> None:
    other = Api(two[0].url, token_of(engine, Role.ADMIN))
    assert _send(other, "a key").content != _send(two[0], "a key").content
    assert run(engine, COUNT) == [(2,)]
    other.close()


def test_another_request_under_the_same_key_is_refused(
    two: tuple[Api, Api], engine: Engine
) -> None:
    rename = "mutation ($name: String!) { createDisplay(name: $name) { display { id } } }"
    assert _send(two[0], "a key", rename, name="Hall").is_success
    for response in (_send(two[1], "a key"), _send(two[1], "a key", rename, name="Lobby")):
        assert response.status_code == 422
        (error,) = response.json()["errors"]
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert error["extensions"]["field"] == "Idempotency-Key"
    assert run(engine, COUNT) == [(1,)]


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there", "é"])
def test_what_is_no_key_is_refused(admin: Api, key: str) -> None:
    response = _send(admin, key)
    assert response.status_code == 400
    assert response.json()["errors"][0]["extensions"]["field"] == "Idempotency-Key"


def test_a_refused_change_is_refused_again(two: tuple[Api, Api]) -> None:
    query = 'mutation { createDisplay(name: " ") { display { id } } }'
    first = _send(two[0], "a key", query)
    assert first.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert _send(two[1], "a key", query).content == first.content


def test_a_change_that_was_busy_is_tried_again(two: tuple[Api, Api], engine: Engine) -> None:
    make_display(two[0], "BUSY01", newest("cat", 5))
    values: dict[str, Any] = {"display": "BUSY01", "name": "x", "blocks": [newest("cat", 2)]}
    with engine.begin() as connection:
        connection.execute(text("SELECT FROM displays WHERE id = 'BUSY01' FOR UPDATE"))
        busy = _send(two[0], "a key", CREATE_PLAYLIST, **values)
    assert busy.json()["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
    done = _send(two[1], "a key", CREATE_PLAYLIST, **values).json()
    assert done["data"]["createPlaylist"]["playlist"]["isActive"]
    assert run(engine, "SELECT count(*) FROM playlists") == [(2,)]


class Held:
    """Sends a change repeatedly while its display is locked."""

    def __init__(self, apis: tuple[Api, Api], engine: Engine) -> None:
        self._apis = apis
        self._engine = engine
        make_display(apis[0], "HELD01", newest("cat", 5))

    def _send(self, number: int) -> httpx.Response:
        # First to the server that waits longer for a lock.
        api = self._apis[(number + 1) % 2]
        blocks = [newest("cat", 2)]
        return _send(api, "a key", CREATE_PLAYLIST, display="HELD01", name="x", blocks=blocks)

    def send(self, times: int, seconds: float) -> list[httpx.Response]:
        """Send the change ``times`` while the display is locked; returns the answers."""
        with ThreadPoolExecutor(times) as threads:
            with self._engine.begin() as connection:
                # The change is stored, and its snapshot waits.
                lock(connection, LockSpace.SNAPSHOT, ["HELD01"])
                sent = [threads.submit(self._send, 0)]
                wait_until(lambda: self.playlists() == 2)
                sent += [threads.submit(self._send, number) for number in range(1, times)]
                time.sleep(seconds)
                assert not sent[0].done()
            return [each.result(30) for each in sent]

    def playlists(self) -> int:
        """The number of playlists."""
        return int(run(self._engine, "SELECT count(*) FROM playlists")[0][0])


@pytest.fixture
def held(two: tuple[Api, Api], engine: Engine) -> Held:
    """A change to send while its display is locked."""
    return Held(two, engine)


def test_a_repeat_meanwhile_waits_for_the_answer(held: Held) -> None:
    answers = held.send(4, 0.5)
    assert len({answer.content for answer in answers}) == 1
    assert "errors" not in answers[0].json()
    assert held.playlists() == 2


def test_a_repeat_that_waited_long_is_told_to_come_back(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "_WAIT_SECONDS", 0.1)
    first, repeat = held.send(2, 1.5)
    assert "errors" not in first.json()
    assert repeat.status_code == 409
    assert repeat.headers["retry-after"] == "1"
    assert repeat.json()["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
    assert held.playlists() == 2


def test_a_request_whose_server_ended_is_not_executed_again(
    two: tuple[Api, Api], engine: Engine
) -> None:
    assert _send(two[0], "a key").is_success
    run(engine, "UPDATE idempotency_keys SET answer = NULL, running_until = now()")
    response = _send(two[1], "a key")
    assert response.status_code == 409
    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] == "OUTCOME_UNKNOWN"
    assert "another key" in error["message"]
    assert run(engine, COUNT) == [(1,)]


def test_a_long_request_keeps_its_key(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    # Otherwise the second request would get the error that the first one's server ended.
    monkeypatch.setattr(idempotency, "_LEASE_SECONDS", 2.0)
    monkeypatch.setattr(idempotency, "_PROLONG_SECONDS", 0.1)
    assert [answer.status_code for answer in held.send(2, 3.0)] == [200, 200]
    assert held.playlists() == 2


def test_a_key_is_good_for_a_day(two: tuple[Api, Api], engine: Engine) -> None:
    first = _send(two[0], "a key")
    run(engine, "UPDATE idempotency_keys SET created_at = now() - interval '25 hours'")
    assert _send(two[0], "a key").content != first.content
    assert run(engine, COUNT) == [(2,)]


def test_a_query_needs_no_key(two: tuple[Api, Api], engine: Engine) -> None:
    assert _send(two[0], "a key", "{ __typename }").is_success
    assert run(engine, "SELECT count(*) FROM idempotency_keys") == [(0,)]
