"""`sorafeed simulate wall` prints what a wall does and needs, as tables or as JSON."""

import json
from pathlib import Path

from typer.testing import CliRunner

from sorafeed_assets.cli.app import build
from sorafeed_assets.cli.common import console


def test_it_prints_what_a_wall_needs_and_where_costs_come_from(tmp_path: Path) -> None:
    console.width = 200
    command = ["simulate", "wall", "--displays", "3", "--hours", "0.02"]
    printed = CliRunner().invoke(build("simulate"), [*command, "--json"])
    assert printed.exception is None, printed.output
    figures = json.loads(printed.stdout)
    command += ["--plot", str(tmp_path / "wall.png")]
    result = CliRunner().invoke(build("simulate"), command)
    assert result.exception is None, result.output
    assert (tmp_path / "wall.png").read_bytes().startswith(b"\x89PNG")
    (hour,) = figures["hours"]
    assert hour["plays"] > 0
    assert figures["needs"]["api_cores"] > 0
    for line in (
        f"{hour['plays']:,}",
        "processors of PostgreSQL",
        "docs/performance.md",
        "a display is settled for new posts once in 1 s at most",
    ):
        assert line in result.stdout


def test_a_wall_of_no_displays_is_refused() -> None:
    result = CliRunner().invoke(build("simulate"), ["simulate", "wall", "--displays", "0"])
    assert result.exit_code == 2
