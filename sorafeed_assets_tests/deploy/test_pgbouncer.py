"""With PgBouncer in transaction mode between, everything works; `react` polls instead of listening.

The configuration is deploy/pgbouncer/pgbouncer.ini, with this machine's addresses and a small pool,
so that sessions are shared at once.
"""

import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import psycopg
import pytest
from sqlalchemy import Engine, make_url, text

from sorafeed_assets.launch.dagster_instance import open_instance
from sorafeed_assets.launch.embedded import EmbeddedPostgres, free_port
from sorafeed_assets.services.tokens import Role, create_token
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.playlists.changes import CHANNEL
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets.storage.postgres.migrate import migrate
from sorafeed_assets_tests.catalogue import run, videos_of
from sorafeed_assets_tests.cli.running import wait_until
from sorafeed_assets_tests.dagster_instance import dagster_database
from sorafeed_assets_tests.deploy.files import DEPLOY
from sorafeed_assets_tests.deploy.installation import as_ordinary_user
from sorafeed_assets_tests.launch.reacting import (
    add_wall,
    assert_recorded_once,
    is_quiet,
    reacting,
)
from sorafeed_assets_tests.serving.processes import served
from sorafeed_assets_tests.wall import add_playlist, add_posts

_PGBOUNCER: Final = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
_POOL: Final = 6
_CREATE: Final = """
mutation ($display: ID!) {
  createPlaylist(
    displayId: $display, name: "show", blocks: [{search: "cat video", videoCount: 4}]
  ) { playlist { id } }
}
"""
pytestmark = [
    pytest.mark.skipif(_PGBOUNCER is None, reason="pgbouncer is not installed"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@contextmanager
def _pooler(folder: Path, address: str) -> Iterator[str]:
    """PgBouncer before one database; yields the address that programs use instead."""
    url, port = make_url(address), free_port()
    users = folder / "userlist.txt"
    users.write_text(f'"{url.username}" "{url.password}"\n')
    given = (DEPLOY / "pgbouncer" / "pgbouncer.ini").read_text()
    for there, here in {
        "sorafeed = host=postgres port=5432 dbname=sorafeed": (
            f"{url.database} = host={url.host} port={url.port} dbname={url.database}"
        ),
        "listen_addr = 0.0.0.0": "listen_addr = 127.0.0.1",
        "listen_port = 6432": f"listen_port = {port}\nunix_socket_dir =",
        "/etc/pgbouncer/userlist.txt": str(users),
        "default_pool_size = 40": f"default_pool_size = {_POOL}",
    }.items():
        assert given.count(there) == 1, there
        given = given.replace(there, here)
    file = folder / "pgbouncer.ini"
    file.write_text(given)
    assert _PGBOUNCER is not None
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*as_ordinary_user(), _PGBOUNCER, str(file)], stdout=log, stderr=log
        )
    pooled = url.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)

    def answers() -> bool:
        assert process.poll() is None, (folder / "log").read_text()
        try:
            psycopg.connect(pooled).close()
        except psycopg.OperationalError:
            return False
        return True

    try:
        wait_until(answers, "PgBouncer")
        yield pooled
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def pooled(settings: Settings, tmp_path: Path) -> Iterator[Settings]:
    """Settings that lead through PgBouncer."""
    with _pooler(tmp_path, str(settings.database_url)) as address:
        yield Settings.model_validate(
            {**settings.model_dump(), "database_url": address, "prepared_statements": False}
        )


@pytest.fixture
def pooled_engine(pooled: Settings) -> Iterator[Engine]:
    engine = create_database_engine(str(pooled.database_url), pooled)
    yield engine
    engine.dispose()


def test_plain_sql_is_settled_counted_cached_and_recorded(
    engine: Engine, pooled: Settings, postgres: EmbeddedPostgres
) -> None:
    with dagster_database(pooled, postgres) as addressed, open_instance(addressed) as instance:
        assert addressed.database_url == pooled.database_url
        with reacting(addressed, instance):
            add_wall(engine)
            wait_until(lambda: len(videos_of(engine, "AAAAA1")) == 5, "a queue")
            # Again and again: each statement may run in another session.
            for number in range(8):
                add_playlist(engine, "AAAAA1", [("cat video", number + 1)])
                add_posts(engine, "cat video", 2, prefix=f"more{number}")
                wait_until(lambda: is_quiet(engine), "nothing to wait")
        assert_recorded_once(addressed, instance)


def test_notifications_do_not_pass(pooled: Settings) -> None:
    with (
        psycopg.connect(str(pooled.database_url), autocommit=True) as listener,
        psycopg.connect(str(pooled.database_url), autocommit=True) as writer,
    ):
        listener.execute(f"LISTEN {CHANNEL}")
        writer.execute(f"NOTIFY {CHANNEL}")
        assert list(listener.notifies(timeout=1, stop_after=1)) == []


def test_players_play_while_displays_are_edited(
    engine: Engine, pooled: Settings, pooled_engine: Engine
) -> None:
    displays = [f"AAAAA{number}" for number in range(6)]
    add_posts(engine, "cat video", 40)
    for display in displays:
        run(engine, "INSERT INTO displays (id, name) VALUES (:id, :id)", id=display)
    secret = create_token(pooled_engine, Role.ADMIN, "test")[1]
    headers = {"authorization": f"Bearer {secret}"}
    with (
        served(pooled) as api,
        httpx.Client(base_url=api.url, headers=headers, timeout=120) as client,
    ):

        def play(display: str) -> None:
            asked = {"query": _CREATE, "variables": {"display": display}}
            assert "errors" not in client.post("/graphql", json=asked).json()
            for _ in range(6):
                found = client.get(f"/api/displays/{display}/next?count=5").json()["videos"]
                play = {"entry": found[0]["entry"], "skipped": False}
                answer = client.post(f"/api/displays/{display}/played", json=play)
                assert answer.status_code == 200, answer.text

        with ThreadPoolExecutor(len(displays)) as threads:
            list(threads.map(play, displays))
    plays = run(engine, "SELECT display_id, count(*) FROM video_history GROUP BY 1 ORDER BY 1")
    assert plays == [(display, 6) for display in displays]
    assert all(len(videos_of(engine, display)) == 5 for display in displays)


def test_many_sessions_share_few(pooled_engine: Engine, engine: Engine) -> None:
    with ThreadPoolExecutor(15) as threads:
        slept = threads.map(lambda _: run(pooled_engine, "SELECT pg_sleep(0.02)"), range(60))
        assert len(list(slept)) == 60
    with engine.connect() as connection:
        found = connection.scalar(
            text("SELECT count(DISTINCT pid) FROM pg_stat_activity WHERE datname = :name"),
            {"name": engine.url.database},
        )
    # Those of the pool, and the one that asks.
    assert 1 < found <= _POOL + 1


def test_sessions_are_as_direct_ones(pooled_engine: Engine, engine: Engine) -> None:
    names = (
        "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "work_mem",
        "TimeZone",
    )  # fmt: skip

    def shown(connected: Engine) -> list[str]:
        with connected.connect() as connection:
            return [str(connection.scalar(text(f"SHOW {name}"))) for name in names]

    assert shown(pooled_engine) == shown(engine)


def test_a_current_database_may_be_migrated_by_all_at_once(pooled_engine: Engine) -> None:
    with ThreadPoolExecutor(10) as threads:
        found = set(threads.map(lambda _: migrate(pooled_engine), range(10)))
    ((before, after),) = found
    assert before == after
