"""`sorafeed up --once` from an empty folder, repeated, and with a failure."""

from pathlib import Path

from sorafeed_assets.launch.servers import servers
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets_tests.catalogue import run
from sorafeed_assets_tests.cli.running import (
    call,
    figures,
    processes_of,
    refusal,
    sorafeed,
)
from sorafeed_assets_tests.wall import add_display, add_playlist


def test_once_again_and_with_a_failure(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    first = sorafeed("up", "--once", "--posts", "500", "--displays", "2", "--data-dir", str(folder))
    assert first.returncode == 0, first.stderr
    assert "2 complete, 0 low, 0 dry, 0 no playlist" in first.stdout
    assert "old system" not in first.stdout
    assert "23 passed, 0 failed" in first.stdout
    for asset in ("video_counts_daily", "count_cache", "display_timelines", "admin_snapshot"):
        assert asset in first.stdout  # with its time
    assert processes_of(folder) == []

    # Commands that run alone start the servers themselves; `env` needs a running `up`.
    assert "start `sorafeed up` first" in refusal("env", folder=folder)
    with servers(Settings(data_dir=folder)) as settings:
        # No command may join servers that are about to stop.
        assert "another sorafeed command is using" in refusal("counts", "show", folder=folder)
        engine = create_database_engine(str(settings.database_url), settings)
        # The demo's first plans are no reactions to a change of a user.
        assert run(engine, "SELECT FROM reactions") == []
        add_display(engine, "BROKEN")
        playlist = add_playlist(engine, "BROKEN", [("cat", 1)])
        run(engine, "DELETE FROM playlist_blocks WHERE playlist_id = :id", id=playlist)
        engine.dispose()
    assert processes_of(folder) == []

    # Again: existing data is used, and a failed check gives an exit code.
    second = sorafeed("up", "--once", "--data-dir", str(folder))
    assert second.returncode == 1, second.stderr
    assert "Loading posts" not in second.stderr
    assert "check failed: display_timelines:every_timeline_is_current" in second.stdout
    assert "2 complete, 1 low, 0 dry, 0 no playlist" in second.stdout

    result = call("status", "--json", folder=folder)
    assert result.exit_code == 0
    status = figures(result.stdout)
    assert (status["posts"], status["displays"]) == (500, 3)
    assert sum(status["timelines"].values()) == 3
    assert (status["timelines"]["complete"], status["timelines"]["low"]) == (2, 1)
    assert status["checks"] == {"passed": 22, "failed": 1}
    assert status["lineage"]["recorded"] > 0
    assert status["processes"] == []
    # The demo's own displays may have a block that no post of a small catalogue matches.
    display, *rest = status["attention"]
    assert (display["severity"], display["kind"], display["subject"]) == (
        ("broken", "display", "BROKEN")
    )
    assert display["reasons"][0].startswith("Its playlist cannot be planned, so ")
    [check] = [each for each in rest if each["kind"] == "check"]
    assert check["subject"] == "display_timelines:every_timeline_is_current"
    assert "BROKEN" in check["reasons"][0]


def test_wrong_settings_are_named_in_one_message() -> None:
    done = sorafeed(
        "status",
        SORAFEED_WINDOW="99",
        SORAFEED_CACHE_TTL_SECONDS="soon",
        SORAFEED_DATABASE_URL="mysql://me:secret@db/x",
        SORAFEED_CATALOG_FIRST_DAY="[never]",
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("Error: invalid settings:")
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
    for name in ("WINDOW", "CACHE_TTL_SECONDS", "DATABASE_URL", "CATALOG_FIRST_DAY"):
        assert f"SORAFEED_{name}: " in done.stderr
    assert "(got '[never]')" in done.stderr


def test_a_database_that_does_not_answer_is_named() -> None:
    away = "postgresql://me:secret@127.0.0.1:1/x"
    done = sorafeed(
        "counts", "show",
        SORAFEED_DATABASE_URL=away,
        SORAFEED_DAGSTER_URL=away,
        SORAFEED_REDIS_URL="redis://127.0.0.1:1/0",
    )  # fmt: skip
    assert done.returncode == 1
    assert "Error: PostgreSQL does not answer" in done.stderr
    assert "SORAFEED_DATABASE_URL" in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr


def test_unusable_folders_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = refusal("up", "--once", folder=tmp_path / "file" / "data")
    assert "cannot be written to" in found
    assert "--data-dir" in found

    data = tmp_path / "old" / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("17\n")
    found = refusal("status", folder=tmp_path / "old")
    assert "was made by PostgreSQL 17, this is 18" in found
    assert "move the folder away or choose another with --data-dir" in found
    assert processes_of(tmp_path) == []
