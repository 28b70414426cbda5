"""`sorafeed legacy`: check, import, follow and status, on an old side of this test."""

import json
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, text

from sorafeed_assets.launch.embedded import EmbeddedPostgres
from sorafeed_assets.launch.servers import psycopg2_url
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.cli.running import (
    answer,
    call,
    exported,
    refusal,
    start,
    wait_until,
)
from sorafeed_assets_tests.legacy.old_file import OldFile
from sorafeed_assets_tests.legacy.old_side import OldPost, add_old_posts, old_database, scan

_OLD = "old_of_commands"


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
def folder(
    settings: Settings, old_url: str, file: OldFile, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A data folder for commands, which use this test's servers and old side."""
    variables = {
        **settings.as_environment(),
        "SORAFEED_DAGSTER_URL": psycopg2_url(str(settings.database_url)),
        "SORAFEED_LEGACY_CATALOG_URL": old_url,
        "SORAFEED_LEGACY_QUEUES": str(file.path),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return settings.data_dir


def _scalar(engine: Engine, statement: str) -> object:
    with engine.connect() as connection:
        return connection.scalar(text(statement))


def test_without_an_old_system_it_says_so(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in settings.as_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SORAFEED_DAGSTER_URL", psycopg2_url(str(settings.database_url)))
    for command in ("import", "status", "follow"):
        found = refusal("legacy", command, folder=settings.data_dir)
        assert "set SORAFEED_LEGACY_CATALOG_URL" in found


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


def test_problems_fail_the_command(folder: Path, file: OldFile) -> None:
    file.add_playlist("HALL01", "huge", [("tea", 10_000)], active=False)
    result = call("legacy", "import", folder=folder)
    assert result.exit_code == 1
    assert "refused: playlist 'huge'" in result.stdout
    assert "it must be 1 to 500; correct it in the old system" in result.stdout
    printed = answer("legacy", "status", folder=folder)
    assert "refused: playlist 'huge'" in printed


def test_status_of_sides_that_are_away(folder: Path, file: OldFile, old_url: str) -> None:
    answer("legacy", "import", folder=folder)
    with psycopg.connect(old_url) as connection:
        connection.execute("DROP TABLE sora_posts")
    file.path.unlink()
    figures = json.loads(answer("legacy", "status", "--json", folder=folder))
    assert "cannot be read" in figures["catalog"]["problem"]
    assert "No such file" in figures["queues"]["problem"]


def test_it_follows_until_it_is_stopped(
    engine: Engine, folder: Path, file: OldFile, old_url: str, tmp_path: Path,
    settings: Settings,
) -> None:  # fmt: skip
    log = tmp_path / "log"
    process = start(
        log,
        *("legacy", "follow", "--data-dir", str(folder)),
        **settings.as_environment(),
        SORAFEED_DAGSTER_URL=psycopg2_url(str(settings.database_url)),
        SORAFEED_LEGACY_CATALOG_URL=old_url,
        SORAFEED_LEGACY_QUEUES=str(file.path),
    )
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
