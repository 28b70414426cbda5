"""Lists and exports from a real streaming replica: never too old, and with one's own writes."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, make_url, text

from sorafeed_assets.launch.embedded import (
    EmbeddedPostgres,
    _as_unprivileged,
    free_port,
    postgres_program,
)
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving.server import Listening, serving
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets.storage.postgres.migrate import migrate
from sorafeed_assets.storage.postgres.replica import Replica
from sorafeed_assets_tests.metrics import samples_of
from sorafeed_assets_tests.serving.client import (
    CREATE_DISPLAY,
    Api,
    readiness,
    token_of,
    wait_until,
)
from sorafeed_assets_tests.wall import add_posts

_LIST = "{ displays(first: 50) { nodes { id } } }"
_POSTS = '{ posts(search: "cat", first: 50) { nodes { id } } }'


class Pair:
    """A primary with a streaming replica, of one database."""

    def __init__(self, primary: EmbeddedPostgres, standby: EmbeddedPostgres) -> None:
        self.standby = standby
        self.url = primary.url("sorafeed")
        self.read_url = standby.url("sorafeed")

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let the replica replay nothing."""
        self._replica("SELECT pg_wal_replay_pause()")
        wait_until(lambda: self._replica("SELECT pg_get_wal_replay_pause_state()") == "paused")
        try:
            yield
        finally:
            self._replica("SELECT pg_wal_replay_resume()")

    def _replica(self, statement: str) -> object:
        with psycopg.connect(self.read_url, autocommit=True) as connection:
            row = connection.execute(statement.encode()).fetchone()
            return row and row[0]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("replicated")
    small = {"shared_buffers": "64MB", "wal_keep_size": "512MB"}
    primary = EmbeddedPostgres(folder / "primary", small)
    primary.start()
    standby = EmbeddedPostgres(folder / "standby", small)
    try:
        engine = create_database_engine(primary.create_database("sorafeed"), Settings())
        migrate(engine)
        engine.dispose()
        standby.folder.mkdir()
        shutil.copy(primary.folder / "password", standby.folder / "password")
        url = make_url(primary.url("postgres")).set(drivername="postgresql")
        subprocess.run(
            [
                *_as_unprivileged(),
                str(postgres_program("pg_basebackup")),
                f"--dbname={url.render_as_string(hide_password=False)}",
                f"--pgdata={standby.data}",
                *("--write-recovery-conf", "--checkpoint=fast", "--wal-method=stream"),
            ],
            check=True,
            capture_output=True,
        )
        standby.start()
        yield Pair(primary, standby)
    finally:
        standby.stop()
        primary.stop()


@pytest.fixture
def replicated(pair: Pair, redis_url: str, tmp_path: Path) -> Settings:
    return Settings.model_validate(
        {
            "database_url": pair.url,
            "database_read_url": pair.read_url,
            "redis_url": redis_url,
            "data_dir": tmp_path,
            "read_lag_seconds": 60,
        }
    )


@pytest.fixture
def engine(replicated: Settings) -> Iterator[Engine]:
    made = create_database_engine(str(replicated.database_url), replicated)
    yield made
    with made.begin() as connection:
        connection.execute(text("DELETE FROM displays"))
        connection.execute(text("DELETE FROM sora_posts"))
    made.dispose()


@contextmanager
def _served(settings: Settings) -> Iterator[str]:
    with serving(settings, Listening(free_port())) as url:
        wait_until(lambda: readiness(url).status_code == 200)
        yield url


def _lag(api: Api) -> float:
    return samples_of(api.http.get("/metrics").text)["sorafeed_replica_lag_seconds", ()]


def _codes(api: Api, **headers: str) -> list[str]:
    answer = api.http.post("/graphql", json={"query": _LIST}, headers=headers).json()
    return [node["id"] for node in answer["data"]["displays"]["nodes"]]


def test_lists_and_exports_are_read_from_the_replica_while_it_follows(
    pair: Pair, replicated: Settings, engine: Engine
) -> None:
    add_posts(engine, "cat", 3)
    with _served(replicated) as url:
        admin = Api(url, token_of(engine, Role.ADMIN))
        wait_until(lambda: len(admin.ask(_POSTS)["posts"]["nodes"]) == 3)
        wait_until(lambda: _lag(admin) < 5)
        with pair.paused():
            add_posts(engine, "cat", 2, prefix="later")
            # The replica lacks them, and answers within the lag that is allowed.
            assert len(admin.ask(_POSTS)["posts"]["nodes"]) == 3
            lines = admin.http.get("/api/posts.ndjson?search=cat").text.splitlines()
            assert len(lines) == 3
            # Counts are the primary's.
            counted = admin.ask('{ count(search: "cat") { total } }')
            assert counted["count"]["total"] == 5
        wait_until(lambda: len(admin.ask(_POSTS)["posts"]["nodes"]) == 5)
        admin.close()


def test_a_reader_sees_its_own_write_while_the_replica_lags(
    pair: Pair, replicated: Settings, engine: Engine
) -> None:
    with _served(replicated) as url, _served(replicated) as other_process:
        token, stranger = token_of(engine, Role.ADMIN), token_of(engine, Role.READER)
        admin, elsewhere = Api(url, token), Api(other_process, token)
        reader = Api(other_process, stranger)
        wait_until(lambda: _lag(admin) < 5 and _lag(reader) < 5)
        with pair.paused():
            answer = admin.post(CREATE_DISPLAY, name="new", id="NEW001")
            assert "errors" not in answer.json()
            written = answer.headers["sorafeed-written"]
            # By its token in the same process; by the header, or the cookie, in another.
            assert _codes(admin) == ["NEW001"]
            assert _codes(elsewhere, **{"sorafeed-written": written}) == ["NEW001"]
            cookies = {"cookie": f"sorafeed_written={answer.cookies['sorafeed_written']}"}
            assert _codes(elsewhere, **cookies) == ["NEW001"]
            # Another reader has what the replica has.
            assert _codes(reader) == []
            assert _codes(reader, **{"sorafeed-written": "not a position"}) == []
        wait_until(lambda: _codes(reader) == ["NEW001"])
        for api in (admin, elsewhere, reader):
            api.close()


def test_a_replica_that_lags_too_much_is_not_read(
    pair: Pair, replicated: Settings, engine: Engine
) -> None:
    impatient = replicated.model_copy(update={"read_lag_seconds": 1.0})
    with _served(impatient) as url:
        reader = Api(url, token_of(engine, Role.READER))
        with pair.paused():
            add_posts(engine, "cat", 3)
            wait_until(lambda: len(reader.ask(_POSTS)["posts"]["nodes"]) == 3)
            assert _lag(reader) > 1
        wait_until(lambda: _lag(reader) < 1)
        reader.close()


def test_what_it_has_is_known_without_a_common_clock(pair: Pair, engine: Engine) -> None:
    now = 1_000.0
    read = create_database_engine(pair.read_url, Settings())
    replica = Replica(engine, read, 10, clock=lambda: now)
    assert not replica.may_answer()
    wait_until(lambda: _looked(replica))
    assert replica.lag == 0
    with pair.paused():
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO displays (id, name) VALUES ('LATE01', 'x')"))
        now += 4
        replica.look()
        now += 4
        replica.look()
        # It has all until the first look; nothing is known of what was written since.
        assert replica.lag == 8
        assert replica.may_answer()
        now += 4
        replica.look()
        assert not replica.may_answer()
    wait_until(lambda: _looked(replica))
    read.dispose()


def _looked(replica: Replica) -> bool:
    replica.look()
    return replica.may_answer() and replica.lag == 0


def test_without_its_replica_the_primary_answers(replicated: Settings, engine: Engine) -> None:
    nowhere = f"postgresql://sorafeed:x@127.0.0.1:{free_port()}/sorafeed"
    away = Settings.model_validate({**replicated.model_dump(), "database_read_url": nowhere})
    add_posts(engine, "cat", 3)
    with _served(away) as url:
        reader = Api(url, token_of(engine, Role.READER))
        assert len(reader.ask(_POSTS)["posts"]["nodes"]) == 3
        assert len(reader.http.get("/api/posts.ndjson?search=cat").text.splitlines()) == 3
        reader.close()
