"""Dagster's own commands work in the project's folder without any server."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _run(program: str, *arguments: str) -> str:
    """The output of a command of Dagster, which must succeed."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SORAFEED_", "DAGSTER_"))
    }
    done = subprocess.run(
        [str(Path(sys.executable).parent / program), *arguments],
        cwd=ROOT,
        env={**environment, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_definitions_validate_without_any_server() -> None:
    said = _run("dagster", "definitions", "validate", "-w", "workspace.yaml")
    assert "All code locations passed validation" in said


@pytest.mark.parametrize(
    ("command", "told"),
    [("check", "All definitions loaded successfully"), ("list", "display_timelines")],
)
def test_dg_knows_the_project(command: str, told: str) -> None:
    assert told in _run("dg", command, "defs")
