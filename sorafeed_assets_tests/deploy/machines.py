"""Programs as on machines of their own: they share nothing but addresses."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sorafeed_assets.launch.dagster_home import environment
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.cli.running import environment as command_environment
from sorafeed_assets_tests.deploy.files import ROOT

_EXEC: Final = (sys.executable, "-c", "from sorafeed_assets.cli import main; main()", "exec")


class Machines:
    """Starts programs by `sorafeed exec`, each in a data folder of its own.

    Args:
        settings: the addresses.
        folder: has the data folders and the logs.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder

    @contextmanager
    def running(self, name: str, *command: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Run a program, and all that it starts, for as long as the block lasts."""
        own = self._settings.model_copy(update={"data_dir": self._folder / name})
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                [*_EXEC, *command],
                env=command_environment(**environment(own), PYTHONPATH=str(ROOT)),
                cwd=self._folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield process
        finally:
            end_at_once(process)

    def log(self, name: str) -> str:
        """What a program wrote."""
        return (self._folder / f"{name}.log").read_text()


def end_at_once(process: "subprocess.Popen[bytes]") -> None:
    """End a program and all that it started by SIGKILL, as a lost machine does."""
    if process.returncode is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
