"""Answers from the response cache are never older than what any process has written."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.services.cache.write import write_timeline_cache
from sorafeed_assets.services.counts.typeahead import MOST_COUNTED
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.cli.running import answer
from sorafeed_assets_tests.serving.client import Api, token_of, wait_until
from sorafeed_assets_tests.wall import add_display, add_posts

NAME = "query ($id: ID!) { display(id: $id) { name } }"
CODES = "{ displays { nodes { id } } }"
TERMS = "{ terms { nodes { term } } }"
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
