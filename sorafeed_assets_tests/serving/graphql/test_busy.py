"""A busy database: the error says so, and whether the change is stored."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, text

from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.services.settle import Settler
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.cache.redis import create_redis_client
from sorafeed_assets.storage.lineage_records import hold_asset
from sorafeed_assets.storage.playlists.rows import lock_displays
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

NEXT = "/api/displays/BUSY01/next"


@pytest.fixture
def api(settings: Settings, engine: Engine) -> Iterator[Api]:
    """An admin of an API that waits a second for a lock, and a display that plays cats."""
    add_posts(engine, "cat", 9)
    add_posts(engine, "dog", 9)
    hasty = settings.model_copy(update={"lock_timeout_seconds": 1})
    with serving(hasty, Listening(free_port())) as url:
        client = Api(url, token_of(engine, Role.ADMIN))
        make_display(client, "BUSY01", newest("cat", 5))
        yield client
        client.close()


def _create(api: Api, name: str) -> dict[str, object]:
    body: dict[str, object] = api.post(
        CREATE_PLAYLIST, display="BUSY01", name=name, blocks=[newest("dog", 5)]
    ).json()
    return body


def test_a_playlist_whose_display_is_being_planned_is_stored_and_says_so(
    api: Api, engine: Engine, settings: Settings
) -> None:
    before = api.http.get(NEXT).json()["videos"]
    with engine.begin() as connection:
        # Its new term cannot be tracked.
        hold_asset(connection, "search_terms")
        body = _create(api, "Night")
        assert api.http.get(NEXT).json()["videos"] == before
    assert "errors" not in body, body
    made = body["data"]["createPlaylist"]  # type: ignore[index]  # JSON
    assert "is stored" in made["problem"]
    assert "busy" in made["problem"]
    # `react` settles it, like a change by SQL.
    with create_redis_client(str(settings.redis_url)) as redis:
        Settler.of(engine, redis, settings).settle_changed()

    # The server may be settling it already, after it counted another term.
    def plays_dogs() -> bool:
        return all("dog" in video["video"] for video in api.http.get(NEXT).json()["videos"])

    wait_until(plays_dogs)


def test_a_change_that_cannot_be_stored_now_is_told_as_busy(api: Api, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("SELECT FROM displays WHERE id = 'BUSY01' FOR UPDATE"))
        error = api.refusal(
            CREATE_PLAYLIST, display="BUSY01", name="Night", blocks=[newest("dog", 5)]
        )
    assert error["extensions"]["code"] == "UNAVAILABLE"
    assert "busy" in error["message"]
    assert "nothing was changed" in error["message"]
    assert run(engine, "SELECT name FROM playlists") == [("Evening",)]


def test_a_change_that_cannot_be_read_back_is_told_as_stored(api: Api, engine: Engine) -> None:
    with engine.begin() as connection:
        # The change does not write this table, but the answer reads it.
        connection.execute(text("LOCK TABLE playlist_blocks IN ACCESS EXCLUSIVE MODE"))
        error = api.refusal(
            'mutation { renameDisplay(id: "BUSY01", name: "Lobby") {'
            " display { name activePlaylist { blocks { id } } } } }"
        )
    assert error["extensions"]["code"] == "UNAVAILABLE"
    assert error["message"].startswith("the change is stored, but")
    assert run(engine, "SELECT name FROM displays") == [("Lobby",)]


def test_a_play_of_a_display_that_is_busy_is_told_to_try_again(api: Api, engine: Engine) -> None:
    entry = api.http.get(NEXT).json()["videos"][0]["entry"]
    with engine.begin() as connection:
        lock_displays(connection, ["BUSY01"])
        answers = [
            api.http.post("/api/displays/BUSY01/played", json={"entry": entry}),
            api.http.post("/api/displays/BUSY01/started", json={"entry": entry}),
        ]
    for answer in answers:
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert answer.json()["error"]["code"] == "UNAVAILABLE"
    assert api.http.post("/api/displays/BUSY01/played", json={"entry": entry}).is_success


def test_a_read_that_waits_for_a_lock_is_told_as_busy(api: Api, engine: Engine) -> None:
    api.ask(CREATE_DISPLAY, name="Hall", id="HALL01")
    with engine.begin() as connection:
        connection.execute(text("LOCK TABLE displays IN ACCESS EXCLUSIVE MODE"))
        error = api.refusal('{ display(id: "HALL01") { name } }')
    assert error["extensions"]["code"] == "UNAVAILABLE"


_END_WAITING = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


def test_a_play_whose_session_is_ended_is_told_to_try_again(api: Api, engine: Engine) -> None:
    entry = api.http.get(NEXT).json()["videos"][0]["entry"]
    with ThreadPoolExecutor(1) as threads:
        with engine.begin() as connection:
            # When the play has to plan further, it waits within a savepoint.
            connection.execute(text("LOCK TABLE playlist_blocks IN ACCESS EXCLUSIVE MODE"))
            played = threads.submit(
                api.http.post, "/api/displays/BUSY01/played", json={"entry": entry}
            )
            wait_until(lambda: bool(run(engine, _END_WAITING)), 10)
        answer = played.result(30)
    assert answer.status_code == 503, answer.text
    assert run(engine, "SELECT count(*) FROM video_history") == [(0,)]
    assert api.http.post("/api/displays/BUSY01/played", json={"entry": entry}).is_success
