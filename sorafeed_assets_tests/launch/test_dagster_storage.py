"""Definitions load and validate while no server is known."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_definitions_validate_without_any_server(tmp_path: Path) -> None:
    plain = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SORAFEED_", "DAGSTER_"))
    }
    program = str(Path(sys.executable).parent / "dagster")
    done = subprocess.run(
        [program, "definitions", "validate", "-w", "workspace.yaml"],
        cwd=ROOT,
        env={**plain, "SORAFEED_DATA_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = done.stdout + done.stderr
    assert "All code locations passed validation" in told
    assert "SORAFEED_DAGSTER_URL is not set" in told
