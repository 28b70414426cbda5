"""`sorafeed flags` and `sorafeed cutover`."""

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine

from sorafeed_assets.launch.servers import psycopg2_url
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.catalogue import queue_of, run
from sorafeed_assets_tests.cli.running import answer, call, refusal
from sorafeed_assets_tests.legacy.old_file import OldFile
from sorafeed_assets_tests.wall import add_display, add_posts

CODES = [f"WALL{number:02}" for number in range(20)]


@pytest.fixture
def folder(settings: Settings, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder for commands, which use this test's servers."""
    variables = {
        **settings.as_environment(),
        "SORAFEED_DAGSTER_URL": psycopg2_url(str(settings.database_url)),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return settings.data_dir


def test_flags_are_listed_set_explained_and_remembered(folder: Path, engine: Engine) -> None:
    for code in CODES:
        add_display(engine, code)
    listed = answer("flags", "list", folder=folder)
    assert "in_order, the default" in listed
    assert "old, shadow, new" in listed
    done = answer(
        *("flags", "set", "planner", "creator_gap", "--share", 25, "--keep", "--why", "try it"),
        folder=folder,
    )
    assert "planner version 1: creator_gap for a share of 25 %, whose displays stay in" in done
    assert "in_order → creator_gap" in done
    again = answer(
        *("flags", "set", "planner", "creator_gap", "--share", 25, "--why", "again"),
        folder=folder,
    )
    assert "planner already has this value" in again
    done = answer(
        *("flags", "set", "planner", "creator_gap", "--why", "a wall"),
        *("--display", "WALL03", "--display", "WALL04"),
        folder=folder,
    )
    assert "by name for WALL03, WALL04" in done
    why = answer("flags", "why", "planner", "WALL03", folder=folder)
    assert why == (
        "planner of WALL03 is creator_gap: it was set for this display by name (version 2)\n"
    )
    history = json.loads(answer("flags", "history", "planner", "--json", folder=folder))
    assert [each["version"] for each in history] == [2, 1]
    assert history[0]["before"] == history[1]["after"]
    assert history[0]["changed_by"].startswith("sorafeed flags set")
    assert "try it" in answer("flags", "history", folder=folder)


def test_a_definition_comes_from_a_file(folder: Path, engine: Engine, tmp_path: Path) -> None:
    add_display(engine, "WALL00")
    file = tmp_path / "planner.json"
    file.write_text('{"state": "ENABLED", "variants": {"a": "best"}, "defaultVariant": "a"}')
    command = ("flags", "set", "planner", "--file", file, "--why", "by hand")
    assert "planner.variants.a" in refusal(*command, folder=folder)
    file.write_text("{")
    assert "is not JSON" in refusal(*command, folder=folder)
    file.write_text('{"state": "ENABLED", "variants": {"a": "creator_gap"}, "defaultVariant": "a"}')
    assert "1 display has a new value now" in answer(*command, folder=folder)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("set", "planer", "in_order", "--why", "x"), "the flags are driver, planner"),
        (("why", "planer", "WALL00"), "the flags are driver, planner"),
        (("why", "planner", "NOHALL"), "display NOHALL does not exist"),
        (("history", "planer"), "the flags are driver, planner"),
        (("set", "planner", "best", "--why", "x"), "in_order, creator_gap"),
        (("set", "planner", "--why", "x"), "value"),
        (("set", "planner", "in_order", "--why", " "), "why"),
        (
            ("set", "planner", "creator_gap", "--why", "x", "--share", "1", "--display", "WALL00"),
            "at most one",
        ),
        (("set", "planner", "in_order", "--why", "x", "--display", "NOHALL"), "does not exist"),
    ],
)
def test_bad_input_is_refused(folder: Path, arguments: tuple[str, ...], problem: str) -> None:
    assert problem in refusal("flags", *arguments, folder=folder)


def test_a_display_is_switched_over_and_back(
    folder: Path, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no old system is named" in refusal("cutover", "HALL01", folder=folder)
    file = OldFile(tmp_path / "old.sqlite")
    file.add_display("HALL01")
    file.add_playlist("HALL01", "day", [("tea", 6)])
    monkeypatch.setenv("SORAFEED_LEGACY_QUEUES", str(file.path))
    add_posts(engine, "tea", 12)
    answer("flags", "set", "driver", "old", "--why", "beside it", folder=folder)
    not_yet = call("cutover", "HALL01", folder=folder)
    assert not_yet.exit_code != 0
    answer("legacy", "import", folder=folder)
    assert queue_of(engine, "HALL01") == []
    checked = answer("cutover", "hall01", "--check", folder=folder)
    assert "old → new" in checked
    planned = json.loads(answer("cutover", "hall01", "--check", "--json", folder=folder))
    assert [(each["display"], each["queued"]) for each in planned] == [("HALL01", 5)]
    assert queue_of(engine, "HALL01") == []
    assert "1 display switched" in answer("cutover", "HALL01", folder=folder)
    assert len(queue_of(engine, "HALL01")) == 5

    file.run("UPDATE displays SET last_ping = '2026-01-01 00:00:00'")
    run(engine, "UPDATE legacy_queues SET imported_at = imported_at - interval '1 hour'")
    answer("cutover", "--back", "HALL01", folder=folder)
    stopped = call("cutover", "HALL01", folder=folder)
    assert stopped.exit_code == 1
    assert "written since their last import" in stopped.stdout
    assert "nothing was switched" in stopped.stdout
    assert "1 display switched" in answer("cutover", "HALL01", "--force", folder=folder)
    back = answer("cutover", "--back", "HALL01", "--why", "too early", folder=folder)
    assert "export-plays FILE --display HALL01`" in back
    assert "too early" in answer("flags", "history", "driver", folder=folder)

    target = tmp_path / "plays.sqlite"
    run(engine, "INSERT INTO video_history (display_id, video_id, loop_iteration,"
        " timeline_video_id) VALUES ('HALL01', 'p1', 0, uuidv7())")  # fmt: skip
    assert "is 'yesterday'" in refusal(
        "legacy", "export-plays", target, "--since", "yesterday", folder=folder
    )
    exported = answer("legacy", "export-plays", target, "--display", "hall01", folder=folder)
    assert exported == f"1 play written to {target}\n"
    target.unlink()
    # As `sorafeed flags history` prints a time.
    since = ("--since", "2026-01-01 10:00:00 UTC")
    assert "1 play" in answer("legacy", "export-plays", target, *since, folder=folder)


def test_a_share_shrinks_whatever_the_old_side_is_like(
    folder: Path, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = OldFile(tmp_path / "old.sqlite")
    file.add_display("HALL01")
    file.add_display("HALL02")
    monkeypatch.setenv("SORAFEED_LEGACY_QUEUES", str(file.path))
    answer("flags", "set", "driver", "old", "--why", "beside it", folder=folder)
    answer("legacy", "import", folder=folder)
    answer("cutover", "HALL02", folder=folder)
    grown = answer("cutover", "--share", "100", folder=folder)
    assert "set by name, so in no share: HALL02 (new)" in grown
    assert "1 display switched" in grown
    assert "smaller share" in refusal("cutover", "--share", "50", "--back", folder=folder)

    answer(
        "flags", "set", "driver", "new", "--share", "100", "--keep", "--why", "sure", folder=folder
    )
    kept = answer("cutover", "--share", "0", folder=folder)
    assert "0 displays switched" in kept
    assert "1 display stays in, as the flag keeps them: HALL01; `sorafeed flags set` takes" in kept
    again = answer("flags", "set", "driver", "new", "--share", "0", "--why", "b", folder=folder)
    assert "already has this value" in again
    assert "stays in, as the flag keeps them: HALL01" in again
    let_go = ("--share", "100", "--no-keep", "--why", "not sure")
    assert "stays in" not in answer("flags", "set", "driver", "new", *let_go, folder=folder)

    file.path.unlink()
    refused = call("cutover", "HALL01", folder=folder)
    assert "the old queues cannot be read" in refused.stdout
    shrunk = answer("cutover", "--share", "0", folder=folder)
    assert "1 display switched" in shrunk
    assert "export-plays FILE --display HALL01`" in shrunk


def test_keeping_is_refused_where_it_would_do_nothing(folder: Path, engine: Engine) -> None:
    add_display(engine, "HALL01")
    for rest in ((), ("--display", "HALL01")):
        why = ("--keep", "--why", "sure")
        found = refusal("flags", "set", "planner", "creator_gap", *rest, *why, folder=folder)
        assert "applies to a share; give --share too" in found
    assert json.loads(answer("flags", "history", "--json", folder=folder)) == []
    # A code is taken as it is typed.
    named = ("--display", "hall01", "--why", "one")
    printed = answer("flags", "set", "planner", "creator_gap", *named, folder=folder)
    assert "HALL01: in_order → creator_gap" in printed
