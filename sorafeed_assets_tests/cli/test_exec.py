"""`sorafeed exec` and `sorafeed env` with servers that are given by address."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sorafeed_assets_tests.cli.running import (
    environment,
    exported,
    refusal,
    sorafeed,
    wait_until,
)

_GIVEN = {
    "SORAFEED_DATABASE_URL": "postgresql://user:secret@db.example/sorafeed",
    "SORAFEED_DAGSTER_URL": "postgresql://user:secret@db.example/dagster",
    "SORAFEED_REDIS_URL": "redis://redis.example:6379/0",
}
_SHOW = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ)])); sys.exit(7)"


def test_a_program_gets_the_instance_and_its_own_arguments(tmp_path: Path) -> None:
    options = ("--data-dir", str(tmp_path))
    shown = sorafeed("exec", *options, "python", "-c", _SHOW, "--data-dir", "x", "--help", **_GIVEN)
    assert shown.returncode == 7, shown.stderr
    arguments, variables = json.loads(shown.stdout)
    assert arguments == ["--data-dir", "x", "--help"]
    assert variables["DAGSTER_HOME"] == str(tmp_path / "dagster")
    assert variables["SORAFEED_DAGSTER_URL"] == (
        "postgresql+psycopg2://user:secret@db.example/dagster"
    )
    # Programs of the same installation come first.
    assert variables["PATH"].startswith(str(Path(sys.executable).parent))
    home = tmp_path / "dagster"
    assert yaml.safe_load((home / "dagster.yaml").read_text())["event_log_storage"]["class"]
    assert yaml.safe_load((home / "workspace.yaml").read_text())["load_from"]
    assert {path.name for path in home.iterdir()} == {"dagster.yaml", "workspace.yaml"}


def test_secrets_in_files_reach_the_program(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name, value in _GIVEN.items():
        (secrets / name).write_text(value)
    shown = sorafeed(
        "exec", "--data-dir", str(tmp_path / "data"), "python", "-c", _SHOW,
        SORAFEED_SECRETS_DIR=str(secrets),
    )  # fmt: skip
    assert shown.returncode == 7, shown.stderr
    assert json.loads(shown.stdout)[1]["SORAFEED_REDIS_URL"] == _GIVEN["SORAFEED_REDIS_URL"]


def test_signals_are_the_programs_own(tmp_path: Path) -> None:
    ready, command = tmp_path / "ready", "from sorafeed_assets.cli import main; main()"
    program = (
        "import pathlib, signal, sys, time;"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5));"
        f"pathlib.Path({str(ready)!r}).touch(); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", command, "exec", "--data-dir", tmp_path / "data",
         "python", "-c", program],
        env=environment(**_GIVEN),
    ) as started:  # fmt: skip
        wait_until(lambda: ready.exists() or started.poll() is not None, "the program")
        started.send_signal(signal.SIGTERM)
        assert started.wait(120) == 5


def test_env_prints_what_is_given(tmp_path: Path) -> None:
    printed = sorafeed("env", "--data-dir", str(tmp_path), **_GIVEN)
    variables = exported(printed.stdout)
    assert variables["SORAFEED_DATABASE_URL"] == _GIVEN["SORAFEED_DATABASE_URL"]
    assert (Path(variables["DAGSTER_HOME"]) / "workspace.yaml").exists()


def test_refusals_say_what_to_do(tmp_path: Path) -> None:
    missing = sorafeed("exec", "--data-dir", str(tmp_path), "no-such-program", **_GIVEN)
    assert missing.returncode == 1
    assert "there is no program no-such-program in" in missing.stderr
    nowhere = sorafeed("exec", "--data-dir", str(tmp_path), "python").stderr
    for said in (nowhere, refusal("env", folder=tmp_path)):
        assert "no instance runs in" in said
        assert "SORAFEED_REDIS_URL" in said


@pytest.mark.parametrize("name", ["dagster.yaml", "workspace.yaml"])
def test_homes_of_an_earlier_version_are_updated(tmp_path: Path, name: str) -> None:
    home = tmp_path / "dagster"
    home.mkdir()
    (home / name).write_text("old: true\n")
    assert sorafeed("exec", "--data-dir", str(tmp_path), "true", **_GIVEN).returncode == 0
    assert "old: true" not in (home / name).read_text()


def test_a_program_started_in_the_background_of_a_shell_can_be_ended(tmp_path: Path) -> None:
    show = "import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
    command = [
        *(sys.executable, "-c", "from sorafeed_assets.cli import main; main()"),
        *("exec", "--data-dir", str(tmp_path), "python", "-c", show),
    ]
    # `sh` ignores SIGINT in what it starts in the background.
    shown = subprocess.run(
        ["/bin/sh", "-c", '"$@" & wait', "sh", *command],
        env=environment(**_GIVEN),
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    assert shown.stdout == "False\n", shown.stderr
