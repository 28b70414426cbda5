"""Lists as tables, JSON and CSV, whole also where output is not a terminal."""

import csv
import io
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from sorafeed_assets.cli.app import COMMANDS, build
from sorafeed_assets.cli.output import Output, chosen, print_list
from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.launch.servers import servers
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets.storage.postgres.migrate import migrate
from sorafeed_assets_tests.cli.running import environment, sorafeed
from sorafeed_assets_tests.wall import add_display, add_playlist

_AT = datetime(2026, 11, 25, 10, 30, tzinfo=UTC)
_COLUMNS = ("id", "active_playlist", "videos", "is_new", "at")
_ROWS = [("a [red]1", "cats, or\n“dogs”", 12_345, True, _AT), ("b", None, 0, False, None)]

# Options of commands that print no list or figures.
_SILENT = {
    *("up", "prepare", "backup", "restore", "migrate", "env", "exec", "serve", "react", "seed"),
    *("displays add", "playlists import", "playlists activate", "tokens create", "tokens revoke"),
    "timetable import",
    *("demo legacy", "legacy import", "legacy follow", "legacy export-plays", "shadow run"),
    *("flags set", "rollout start", "rollout pause", "rollout resume", "rollout force"),
    "rollout stop",
    *("displays play", "displays pause", "displays stop", "displays skip", "displays previous"),
    *("displays play-now", "displays mute", "displays unmute", "displays volume", "displays seek"),
}


def _printed(output: Output, capsys: pytest.CaptureFixture[str]) -> str:
    print_list(_COLUMNS, _ROWS, output)
    return capsys.readouterr().out


def test_json_has_every_value_with_its_type(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = json.loads(_printed(Output.JSON, capsys))
    assert list(first) == list(_COLUMNS)
    assert first == dict(zip(_COLUMNS, [*_ROWS[0][:4], "2026-11-25T10:30:00+00:00"], strict=True))
    assert second["active_playlist"] is second["at"] is None


def test_csv_can_be_read_again(capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.reader(io.StringIO(_printed(Output.CSV, capsys), newline="")))
    assert rows == [
        list(_COLUMNS),
        ["a [red]1", "cats, or\n“dogs”", "12345", "True", "2026-11-25T10:30:00+00:00"],
        ["b", "", "0", "False", ""],
    ]


def test_a_table_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    printed = _printed(Output.TABLE, capsys)
    for shown in ("active playlist", "a [red]1", "12,345", "yes", "2026-11-25 10:30:00"):
        assert shown in printed


def test_both_options_may_not_contradict() -> None:
    assert chosen(None, True) is chosen(Output.JSON, True) is Output.JSON
    assert chosen(None, False) is Output.TABLE
    with pytest.raises(InvalidInputError, match="contradicts --output csv"):
        chosen(Output.CSV, True)


def test_every_command_that_prints_data_has_json() -> None:
    root = typer.main.get_command(build(*COMMANDS))
    with_json: set[str] = set()
    without: set[str] = set()
    for name, command in root.commands.items():  # type: ignore[attr-defined]  # a group
        for part, each in getattr(command, "commands", {"": command}).items():
            options = {option for given in each.params for option in given.opts}
            (with_json if "--json" in options else without).add(f"{name} {part}".strip())
    assert without == _SILENT
    assert {"status", "counts show", "timeline show", "tokens list"} <= with_json


def test_nothing_is_cut_in_a_pipe(tmp_path: Path) -> None:
    folder, name = tmp_path / "data", "a name that is longer than any terminal is wide, " * 5
    with servers(Settings(data_dir=folder)) as settings:
        engine = create_database_engine(str(settings.database_url), settings)
        migrate(engine)
        add_display(engine, "AAAAA1")
        add_playlist(engine, "AAAAA1", [("cats", 1)])
        with engine.begin() as connection:
            connection.exec_driver_sql("UPDATE playlists SET name = %s", (name,))
        engine.dispose()
    done = sorafeed("playlists", "list", "--data-dir", str(folder), COLUMNS="40")
    assert done.returncode == 0, done.stderr
    assert name.strip() in done.stdout
    assert "…" not in done.stdout


@pytest.mark.parametrize(
    ("words", "wanted"),
    [("tok", "tokens"), ("tokens re", "revoke"), ("status --js", "--json"), ("tokens x --j", "")],
)
def test_completion_knows_commands_and_options(words: str, wanted: str) -> None:
    code = "import sys; sys.argv = ['sorafeed']; from sorafeed_assets.cli import main; main()"
    variables = {
        "_SORAFEED_COMPLETE": "complete_bash",
        "COMP_WORDS": f"sorafeed {words}",
        "COMP_CWORD": str(len(words.split())),
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ([wanted] if wanted else [])


def test_a_wrong_option_has_its_own_exit_code() -> None:
    refused = CliRunner().invoke(build("counts"), ["counts", "show", "--output", "xml"])
    assert refused.exit_code == 2
    assert "'table', 'json', 'csv'" in refused.stderr
