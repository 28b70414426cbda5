"""The `sorafeed` command as a process of its own, and as a call in this one."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from typer.testing import CliRunner, Result

from sorafeed_assets.cli.app import build
from sorafeed_assets.cli.common import console
from sorafeed_assets.domain.errors import SorafeedError
from sorafeed_assets.domain.wording import error_text

_COMMAND = (sys.executable, "-c", "from sorafeed_assets.cli import main; main()")
_PATIENCE = 240.0  # CI machines are slow and shared


def environment(**extra: str) -> dict[str, str]:
    """This process's variables without any of the project's, and a wide terminal."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SORAFEED_", "DAGSTER_"))}
    return {**kept, "COLUMNS": "200", **extra}


def sorafeed(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [*_COMMAND, *arguments],
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE,
    )


def start(output: Path, *arguments: str, **variables: str) -> subprocess.Popen[bytes]:
    """Start the command with its output in the file ``output``."""
    with output.open("wb") as file:
        return subprocess.Popen(
            [*_COMMAND, *arguments], env=environment(**variables), stdout=file, stderr=file
        )


def call(*arguments: object, folder: Path) -> Result:
    """Run the command in this process, on a data folder."""
    console.width = 200
    return CliRunner().invoke(
        build(str(arguments[0])), [*map(str, arguments), "--data-dir", str(folder)]
    )


def answer(*arguments: object, folder: Path) -> str:
    """The output of a command in this process, which must succeed."""
    result = call(*arguments, folder=folder)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def refusal(*arguments: object, folder: Path) -> str:
    """The error message of a command in this process, which must fail."""
    result = call(*arguments, folder=folder)
    assert result.exit_code != 0
    error = result.exception
    return error_text(error) if isinstance(error, SorafeedError) else str(error or result.stderr)


def wait_until(is_so: Callable[[], object], what: str) -> None:
    """Poll until a condition holds."""
    deadline = time.monotonic() + _PATIENCE
    while not is_so():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)


def is_alive(process: psutil.Process) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def processes_of(folder: Path) -> list[psutil.Process]:
    """Every process that uses a data folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if not is_alive(process) or process.pid == os.getpid():
                continue
            home = process.environ().get("DAGSTER_HOME", "")
            about = [*process.cmdline(), process.cwd(), home]
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if any(str(folder) in text for text in about):
            found.append(process)
    return found


def command_line(process: psutil.Process) -> str:
    """The command line of a process; empty if it has ended."""
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""


def end_all(processes: Iterable[psutil.Process]) -> None:
    """Kill processes; ignores those that have ended."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def exported(text: str) -> Mapping[str, str]:
    """The variables of `sorafeed env`."""
    lines = [line.removeprefix("export ").partition("=") for line in text.splitlines()]
    return {name: value.strip("'") for name, _, value in lines}


def figures(text: str) -> dict[str, Any]:
    """The figures of `sorafeed status --json`."""
    decoded: dict[str, Any] = json.loads(text)
    return decoded
