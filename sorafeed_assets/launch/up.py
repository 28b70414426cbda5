"""`sorafeed up`: from an empty folder to live timelines, and everything ended at the end."""

import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Final

import yaml

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.launch.dagster_home import environment
from sorafeed_assets.launch.processes import Child
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.embedded import free_port

DEFAULT_PORT: Final = 3000
_READY_SECONDS: Final = 90.0


@contextmanager
def stop_on_signals() -> Iterator[Event]:
    """An event that Ctrl-C and SIGTERM set, instead of ending the process on the spot."""
    stop = Event()

    def set_stop(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, set_stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def choose_port(wanted: int | None) -> int:
    """The port asked for, or the default one, or near it any that is free.

    Raises:
        SetupError: the port that was asked for is taken.
    """
    port = free_port(wanted or DEFAULT_PORT)
    if wanted and port != wanted:
        raise SetupError(f"port {wanted} is taken; choose another with --port")
    return port


def serve(settings: Settings, port: int, stop: Event, on_ready: Callable[[str], None]) -> None:
    """Run the code server, the UI and the daemon until ``stop`` is set.

    Raises:
        SetupError: one of them does not come up, or ends.
    """
    folder = settings.data_dir.resolve()
    code_port = free_port()
    workspace = folder / "workspace.yaml"
    workspace.write_text(
        yaml.safe_dump(
            {
                "load_from": [
                    {
                        "grpc_server": {
                            "host": "127.0.0.1",
                            "port": code_port,
                            "location_name": "sorafeed_assets",
                        }
                    }
                ]
            }
        )
    )
    programs = Path(sys.executable).parent
    commands = {
        "code server": [
            *(str(programs / "dagster"), "code-server", "start"),
            *("-m", "sorafeed_assets.definitions", "-h", "127.0.0.1", "-p", str(code_port)),
        ],
        "web server": [
            str(programs / "dagster-webserver"),
            *("-w", str(workspace), "-h", "127.0.0.1", "-p", str(port)),
        ],
        "daemon": [str(programs / "dagster-daemon"), "run", "-w", str(workspace)],
    }
    with ExitStack() as stack:
        children: list[Child] = []
        for name, command in commands.items():
            log = folder / "logs" / f"{name.replace(' ', '-')}.log"
            child = Child(f"Dagster's {name}", command, environment(settings), log)
            stack.callback(child.stop)
            children.append(child)
            if name != "daemon":
                _wait_for_port(code_port if name == "code server" else port, child, stop)
        if not stop.is_set():
            on_ready(f"http://127.0.0.1:{port}")
        while not stop.wait(1.0):
            for child in children:
                child.check()


def _wait_for_port(port: int, child: Child, stop: Event) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not stop.is_set():
        child.check()
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > deadline:
            raise SetupError(f"{child.name} did not start; its log {child.log} says why")
        stop.wait(0.1)
