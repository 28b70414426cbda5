"""Child processes that end with us: each in a group of its own, with its log in a file."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import psutil

from sorafeed_assets.domain.errors import SetupError

_GRACE_SECONDS: Final = 10.0


class Child:
    """One long-running program and everything it starts."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603  # our own commands
                list(command),
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def check(self) -> None:
        """Raises SetupError when the program has ended."""
        code = self._process.poll()
        if code is not None:
            raise SetupError(f"{self.name} ended with code {code}; its log {self.log} says why")

    def stop(self) -> None:
        """End the program and all its descendants, first kindly."""
        try:
            family = psutil.Process(self._process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            family = []
        _signal_group(self._process.pid, signal.SIGTERM)
        _wait([*family, *_alive(self._process.pid)], _GRACE_SECONDS)
        _signal_group(self._process.pid, signal.SIGKILL)
        for process in family:
            if process.is_running():
                process.kill()
        self._process.wait()


def _alive(pid: int) -> list[psutil.Process]:
    try:
        return [psutil.Process(pid)]
    except psutil.NoSuchProcess:
        return []


def _signal_group(pid: int, number: signal.Signals) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return


def _wait(processes: Sequence[psutil.Process], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes):
            return
        time.sleep(0.1)
