"""Subcommands are imported when they are called, and the help names them all without that."""

import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from sorafeed_assets.cli.app import COMMANDS, build

_IMPORTED = """
import sys
from sorafeed_assets.cli.app import build
build({called})
print(*sorted({{"dagster", "numba", "pandas"}} & sys.modules.keys()))
"""


def _imported(called: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", _IMPORTED.format(called=called)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def test_only_what_is_called_is_imported() -> None:
    assert _imported("") == []
    assert _imported("'up', 'tokens'") == []
    assert _imported("'status'") == ["dagster", "numba", "pandas"]


def test_the_help_names_every_command_as_it_names_itself() -> None:
    shown = typer.main.get_command(build(*COMMANDS))
    for name, late in COMMANDS.items():
        command = shown.commands[name]  # type: ignore[attr-defined]  # a group
        assert (command.help or "").splitlines()[0] == late.help
        assert command.hidden is late.hidden
    listed = CliRunner().invoke(build(), ["--help"]).stdout
    for name, late in COMMANDS.items():
        assert (f" {name} " in listed) is not late.hidden


@pytest.mark.parametrize("asked", [["nosuch"], ["displays", "nosuch"]])
def test_an_unknown_command_is_refused(asked: list[str]) -> None:
    refused = CliRunner().invoke(build(*asked[:1]), asked)
    assert refused.exit_code == 2
    assert "No such command 'nosuch'" in refused.stderr
