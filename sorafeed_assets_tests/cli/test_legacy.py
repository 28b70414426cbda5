"""`sorafeed legacy`: check, import, follow and status, on an old side of this test."""

import json
import re
import signal
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, text

from sorafeed_assets.cli import exits
from sorafeed_assets.launch.embedded import EmbeddedPostgres
from sorafeed_assets.launch.servers import psycopg2_url
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.legacy import old_queues as old_queues_module
from sorafeed_assets.storage.postgres.indexes import missing_indexes
from sorafeed_assets_tests.cli.running import (
    answer,
    call,
    exported,
    refusal,
    sorafeed,
    start,
    wait_until,
)
from sorafeed_assets_tests.legacy.old_file import OldFile
from sorafeed_assets_tests.legacy.old_side import OldPost, add_old_posts, old_database, scan

_OLD = "old_of_commands"
# Of so many posts the first copy drops the indexes and builds them at its end.
_MANY = 52_000
_ADD_MANY = """
INSERT INTO creators (id, username) VALUES ('ann', 'ann');
INSERT INTO sora_posts (id, creator_id, text, posted_at, permalink, width, height, indexed_at)
SELECT 's_' || n, 'ann', 'A commercial, number ' || n, 1772366400 + n, 'https://x/' || n, 640, 352,
    timestamp '2026-03-01' + n * interval '1 second'
FROM generate_series(1, 52000) AS n
"""
# Storing posts notes them there, in the same transaction.
_HOLD = "LOCK TABLE catalog_changes IN SHARE MODE"
_HELD = """
SELECT count(*) FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
WHERE d.datname = current_database() AND relation = to_regclass('catalog_changes') AND NOT granted
"""
_HELD_PLAYS = _HELD.replace("catalog_changes", "video_history")
# More than two batches.
_MANY_PLAYS = 25_000
_ADD_MANY_PLAYS = """
INSERT INTO video_history (id, display_id, video_id, loop_iteration, played_at)
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 25000)
SELECT 'play ' || n, 'HALL01', 's_' || n, 1, datetime('2026-03-01', '+' || n || ' seconds')
FROM numbers
"""
# Rows of everything that an import writes.
_WRITTEN = """
SELECT (SELECT count(*) FROM sora_posts) + (SELECT count(*) FROM creators)
    + (SELECT count(*) FROM legacy_cursors) + (SELECT count(*) FROM displays)
    + (SELECT count(*) FROM playlists) + (SELECT count(*) FROM video_history)
    + (SELECT count(*) FROM legacy_imports) + (SELECT count(*) FROM legacy_queues)
"""


@pytest.fixture
def old_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    with old_database(postgres, _OLD) as url:
        yield url


@pytest.fixture
def file(tmp_path: Path) -> OldFile:
    file = OldFile(tmp_path / "old.sqlite")
    file.add_display("HALL01")
    file.add_playlist("HALL01", "day", [("commercial", 2)])
    file.add_play("HALL01", "s_0_00004", "2026-03-02 10:00:00")
    return file


@pytest.fixture
def variables(settings: Settings, old_url: str, file: OldFile) -> Mapping[str, str]:
    """The variables of commands that use this test's servers and old side."""
    return {
        **settings.as_environment(),
        "SORAFEED_DAGSTER_URL": psycopg2_url(str(settings.database_url)),
        "SORAFEED_LEGACY_CATALOG_URL": old_url,
        "SORAFEED_LEGACY_QUEUES": str(file.path),
    }


@pytest.fixture
def folder(
    settings: Settings, variables: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A data folder for commands of this process, which use these variables."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return settings.data_dir


def _scalar(engine: Engine, statement: str) -> object:
    with engine.connect() as connection:
        return connection.scalar(text(statement))


def _missing(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return missing_indexes(connection)


def test_without_an_old_system_it_says_so(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SORAFEED_DAGSTER_URL", psycopg2_url(str(settings.database_url)))
    for command in ("import", "status", "follow"):
        found = refusal("legacy", command, folder=settings.data_dir)
        assert "set SORAFEED_LEGACY_CATALOG_URL" in found


def test_an_old_server_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sorafeed_assets.storage.legacy.old_server._OLDEST", 990_000)
    found = [refusal("legacy", command, folder=folder) for command in ("import", "status")]
    for each in (call("legacy", "check", folder=folder).output, *found):
        assert "reading it needs 99 or later; upgrade that server" in each


def test_imported_and_compared(engine: Engine, folder: Path, old_url: str, file: OldFile) -> None:
    add_old_posts(old_url, 5)
    printed = answer("legacy", "import", folder=folder)
    assert "5 posts and 5 creators copied; 3 parts compared, 0 rows repaired" in printed
    assert "displays: 1 found, 1 written" in printed
    assert "plays: 1 found, 1 written" in printed
    assert _scalar(engine, "SELECT count(*) FROM sora_posts") == 5
    # The newest that it has not shown.
    assert (
        _scalar(engine, "SELECT video_id FROM timeline_videos ORDER BY timeline_position LIMIT 1")
        != "s_0_00004"
    )
    again = answer("legacy", "import", folder=folder)
    assert "0 posts and 0 creators copied" in again
    assert "displays: 1 found, 0 written" in again

    figures = json.loads(answer("legacy", "status", "--json", folder=folder))
    assert figures["catalog"]["is_copied"] is True
    assert figures["catalog"]["waiting"] == 0
    assert figures["catalog"]["differing"] == []
    assert figures["queues"]["is_current"] is True
    assert figures["queues"]["found"] == {"displays": 1, "playlists": 1, "plays": 1}
    file.add_play("HALL01", "s_0_00003", "2026-03-02 10:01:00")
    with psycopg.connect(old_url) as connection:
        scan(connection, [OldPost("new")])
    figures = json.loads(answer("legacy", "status", "--json", folder=folder))
    assert figures["catalog"]["waiting"] == 1
    assert figures["queues"]["is_current"] is False


def test_a_copy_that_was_killed_goes_on_and_everything_is_there_once(
    engine: Engine, folder: Path, old_url: str, tmp_path: Path, variables: Mapping[str, str]
) -> None:
    with psycopg.connect(old_url) as connection:
        connection.execute(_ADD_MANY)
    log = tmp_path / "log"
    with engine.connect() as holder:

        def hold() -> None:
            for name in ("lock_timeout", "idle_in_transaction_session_timeout"):
                holder.execute(text(f"SET LOCAL {name} = 0"))
            holder.execute(text(_HOLD))

        hold()
        patient = {**variables, "SORAFEED_LOCK_TIMEOUT_SECONDS": "600"}
        process = start(log, "legacy", "import", **patient)
        try:

            def stores_a_chunk() -> bool:
                assert process.poll() is None, log.read_text()
                return int(holder.scalar(text(_HELD)) or 0) == 1

            wait_until(stores_a_chunk, "the first chunk")
            holder.commit()
            # Granted when that chunk is committed, so that the next one waits.
            hold()
            wait_until(stores_a_chunk, "the second chunk")
            process.kill()
            assert process.wait(60) == -signal.SIGKILL
        finally:
            process.kill()
            process.wait()
    copied = _scalar(engine, "SELECT count(*) FROM sora_posts")
    assert isinstance(copied, int)
    assert 0 < copied < _MANY
    assert _missing(engine)

    printed = answer("legacy", "import", folder=folder)
    assert f"{_MANY - copied:,} posts and 0 creators copied; 3 parts compared, 0 rows" in printed
    assert _missing(engine) == []
    assert _scalar(engine, "SELECT count(*) FROM sora_posts") == _MANY
    # Each was stored once: so often is it noted.
    assert _scalar(engine, "SELECT count(*) FROM catalog_changes") == _MANY
    assert _scalar(engine, "SELECT count(*) FROM video_history") == 1
    again = answer("legacy", "import", folder=folder)
    assert "0 posts and 0 creators copied; 3 parts compared, 0 rows repaired" in again
    assert "plays: 1 found, 0 written" in again


def test_an_import_of_the_queues_that_was_killed_wrote_nothing_and_the_next_one_everything(
    engine: Engine, folder: Path, file: OldFile, tmp_path: Path, variables: Mapping[str, str]
) -> None:
    with closing(file.open()) as connection:
        connection.executescript(_ADD_MANY_PLAYS)
    queues = {k: v for k, v in variables.items() if k != "SORAFEED_LEGACY_CATALOG_URL"}
    log = tmp_path / "log"
    with engine.connect() as holder:
        # Its displays, its playlists are written before, and the plays are staged.
        holder.execute(text("LOCK TABLE video_history IN SHARE MODE"))
        process = start(log, "legacy", "import", **queues)
        try:

            def stores_plays() -> bool:
                assert process.poll() is None, log.read_text()
                return int(holder.scalar(text(_HELD_PLAYS)) or 0) == 1

            wait_until(stores_plays, "the plays")
            process.kill()
            assert process.wait(60) == -signal.SIGKILL
        finally:
            process.kill()
            process.wait()
    assert _scalar(engine, _WRITTEN) == 0

    printed = answer("legacy", "import", folder=folder)
    assert "displays: 1 found, 1 written" in printed
    assert f"plays: {_MANY_PLAYS + 1:,} found, {_MANY_PLAYS + 1:,} written" in printed
    assert _scalar(engine, "SELECT count(*) FROM video_history") == _MANY_PLAYS + 1
    again = answer("legacy", "import", folder=folder)
    assert f"plays: {_MANY_PLAYS + 1:,} found, 0 written" in again


def test_problems_fail_the_command(folder: Path, file: OldFile) -> None:
    file.add_playlist("HALL01", "huge", [("tea", 10_000)], active=False)
    result = call("legacy", "import", folder=folder)
    assert result.exit_code == 1
    assert "refused: playlist 'huge'" in result.stdout
    assert "it must be 1 to 500; correct it in the old system" in result.stdout
    printed = answer("legacy", "status", folder=folder)
    assert "refused: playlist 'huge'" in printed


def _not_sqlite(file: Path) -> None:
    file.write_text("display,playlist\n" * 20)


def _torn(file: Path) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])


def _another_schema(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("DROP TABLE video_history")


def test_a_bad_file_is_refused_before_the_catalogue_is_copied(
    engine: Engine, folder: Path, old_url: str, file: OldFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_old_posts(old_url, 3)
    whole = file.path.read_bytes()
    spoilt: tuple[tuple[Callable[[Path], None], str], ...] = (
        (Path.unlink, "No such file"),
        (_not_sqlite, "is not an SQLite file"),
        (_torn, "is torn"),
        (_another_schema, "has no table video_history"),
    )
    for spoil, problem in spoilt:
        spoil(file.path)
        found = refusal("legacy", "import", folder=folder)
        assert str(file.path) in found
        assert problem in found
        assert _scalar(engine, _WRITTEN) == 0
        file.path.write_bytes(whole)
    monkeypatch.setattr(old_queues_module, "_SECONDS", 0.2)
    with closing(file.open()) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        found = refusal("legacy", "import", folder=folder)
    assert "stays locked by another program" in found
    assert _scalar(engine, _WRITTEN) == 0
    assert "3 posts and 3 creators copied" in answer("legacy", "import", folder=folder)


def test_a_bad_catalogue_is_refused_before_the_queues_are_imported(
    engine: Engine, folder: Path, old_url: str
) -> None:
    with psycopg.connect(old_url) as connection:
        connection.execute("ALTER TABLE sora_posts DROP COLUMN width")
    found = refusal("legacy", "import", folder=folder)
    assert "sora_posts has no column width; it is another schema" in found
    assert _scalar(engine, _WRITTEN) == 0


def test_status_of_sides_that_are_away(
    folder: Path, file: OldFile, old_url: str, variables: Mapping[str, str]
) -> None:
    answer("legacy", "import", folder=folder)
    with psycopg.connect(old_url) as connection:
        connection.execute("DROP TABLE sora_posts")
    file.path.unlink()
    done = sorafeed("legacy", "status", "--json", **variables)
    assert done.returncode == exits.FAILED
    figures = json.loads(done.stdout)
    assert "cannot be read" in figures["catalog"]["problem"]
    assert "No such file" in figures["queues"]["problem"]
    # What is known is there all the same.
    assert figures["catalog"]["is_copied"] is True
    assert figures["queues"]["found"] == {"displays": 1, "playlists": 1, "plays": 1}
    for side in figures.values():
        assert side["problem"] in done.stderr
    assert "Traceback" not in done.stderr


def test_status_of_one_side_that_is_away(
    folder: Path, file: OldFile, variables: Mapping[str, str]
) -> None:
    answer("legacy", "import", folder=folder)
    whole = file.path.read_bytes()
    # Its first page, with the number of writes, is as it was.
    file.path.write_bytes(whole[: len(whole) // 2])
    done = sorafeed("legacy", "status", **variables)
    assert done.returncode == exits.FAILED
    assert re.search("old queues .*cannot be read", done.stdout)
    assert re.search("posts waiting .* 0 ", done.stdout)
    assert f"Error: {file.path} is torn" in done.stderr
    file.path.write_bytes(whole)
    done = sorafeed("legacy", "status", "--json", **variables)
    assert done.returncode == exits.OK
    assert done.stderr == ""
    # A server that is away is named by its address.
    away = {**variables, "SORAFEED_LEGACY_CATALOG_URL": "postgresql://nobody@127.0.0.1:9/sora"}
    done = sorafeed("legacy", "status", "--json", **away)
    assert done.returncode == exits.FAILED
    assert "the old catalogue at 127.0.0.1:9/sora does not answer" in done.stderr
    assert json.loads(done.stdout)["queues"]["problem"] is None


def test_it_follows_until_it_is_stopped(
    engine: Engine, file: OldFile, old_url: str, tmp_path: Path, variables: Mapping[str, str]
) -> None:
    log = tmp_path / "log"
    process = start(log, "legacy", "follow", **variables)
    try:
        with psycopg.connect(old_url) as connection:
            scan(connection, [OldPost("first"), OldPost("second")])
        wait_until(lambda: _scalar(engine, "SELECT count(*) FROM sora_posts") == 2, "the posts")
        wait_until(lambda: _scalar(engine, "SELECT count(*) FROM video_history") == 1, "the play")
        with psycopg.connect(old_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            scan(connection, [OldPost("third")])
        file.add_play("HALL01", "second", f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}")
        wait_until(lambda: _scalar(engine, "SELECT count(*) FROM sora_posts") == 3, "a new post")
        wait_until(lambda: _scalar(engine, "SELECT count(*) FROM video_history") == 2, "a play")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    assert "does not answer" in log.read_text()


def test_the_demo_can_be_imported(
    engine: Engine,
    settings: Settings,
    postgres: EmbeddedPostgres,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SORAFEED_DAGSTER_URL", psycopg2_url(str(settings.database_url)))
    try:
        printed = answer("demo", "legacy", "--posts", 300, "--days", 2, folder=settings.data_dir)
        for name, value in exported(printed).items():
            monkeypatch.setenv(name, value)
        assert "can be imported" in answer("legacy", "check", folder=settings.data_dir)
        printed = answer("legacy", "import", folder=settings.data_dir)
        assert "300 posts" in printed
        assert "displays: 42 found, 42 written" in printed
        assert "416 rows wait in its old queue, where 52 belong" in printed
        again = refusal("demo", "legacy", folder=settings.data_dir)
        assert "exists; delete it, or choose another" in again
    finally:
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
            connection.execute("DROP DATABASE IF EXISTS sorafeed_legacy_demo WITH (FORCE)")
    assert _scalar(engine, "SELECT count(DISTINCT display_id) FROM timeline_videos") == 6
