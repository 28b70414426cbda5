"""`sorafeed up`: from an empty folder to live timelines, with an orderly shutdown."""

import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event, Thread
from types import FrameType
from typing import Final, TypeVar

import yaml

from sorafeed_assets.demo import clips
from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.launch.dagster_home import environment
from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.launch.processes import Child
from sorafeed_assets.settings import Settings

DEFAULT_PORT: Final = 3000
DEFAULT_API_PORT: Final = 3080
_API: Final = "api"
_READY_SECONDS: Final = 90.0

_Result = TypeVar("_Result")


class Stop:
    """A request to stop, by Ctrl-C or SIGTERM.

    During preparation the first signal interrupts the current work; while serving,
    `wait` returns. Further signals are ignored, because the shutdown is in progress.
    """

    def __init__(self) -> None:
        self._event = Event()
        self._breaks_off = True

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        """Handle a signal."""
        is_first = not self._event.is_set()
        self._event.set()
        if is_first and self._breaks_off:
            raise KeyboardInterrupt

    def is_set(self) -> bool:
        """Whether to stop."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for the request, for ``seconds`` at most; returns whether it was made."""
        self._breaks_off = False
        return self._event.wait(seconds)


def in_background(work: Callable[[], _Result]) -> _Result:
    """Run ``work`` in a thread and return its result; a signal interrupts only the wait.

    In the main thread Dagster would handle signals, and retry the step that one interrupted.
    """
    future: Future[_Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001  # raised where it is waited for
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return future.result()


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Stop in order on Ctrl-C, SIGTERM, and when the terminal is closed."""
    stop = Stop()
    signals = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # unless nohup ignores it
        signals.append(signal.SIGHUP)
    before = {number: signal.signal(number, stop.on_signal) for number in signals}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def choose_port(wanted: int | None, usual: int = DEFAULT_PORT, option: str = "--port") -> int:
    """The requested port, else the usual one, else any free one.

    Raises:
        SetupError: the requested port is taken.
    """
    port = free_port(wanted or usual)
    if wanted and port != wanted:
        raise SetupError(f"port {wanted} is taken; choose another with {option}")
    return port


def serve(
    settings: Settings,
    port: int,
    api_port: int,
    stop: Stop,
    on_ready: Callable[[str, str], None],
) -> None:
    """Run the code server, the UI, the daemon, `react` and the API until ``stop`` is set.

    Raises:
        SetupError: one of them does not start, or ends.
    """
    stop.wait(0)  # from here on a signal only sets the request: no child is left half started
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
        "dagster code server": [
            *(str(programs / "dagster"), "code-server", "start"),
            *("-m", "sorafeed_assets.definitions", "-h", "127.0.0.1", "-p", str(code_port)),
        ],
        "dagster web server": [
            str(programs / "dagster-webserver"),
            *("-w", str(workspace), "-h", "127.0.0.1", "-p", str(port)),
        ],
        "dagster daemon": [str(programs / "dagster-daemon"), "run", "-w", str(workspace)],
        "react": [str(programs / "sorafeed"), "react"],
        "api": [sys.executable, "-m", "sorafeed_assets.serving", str(api_port), clips.__name__],
    }
    if settings.legacy_catalog_url is not None or settings.legacy_queues is not None:
        commands["legacy"] = [str(programs / "sorafeed"), "legacy", "follow"]
    ports = {"dagster code server": code_port, "dagster web server": port, "api": api_port}
    interface = f"http://127.0.0.1:{port}"
    variables = {**environment(settings), "SORAFEED_DAGSTER_UI_URL": interface}
    with ExitStack() as stack:
        children: list[Child] = []
        for name, command in commands.items():
            child = Child(name, command, variables, folder)
            stack.callback(child.stop)
            children.append(child)
            if name in ports:
                _wait_for_port(ports[name], child, stop)
        if not stop.is_set():
            on_ready(interface, f"http://127.0.0.1:{api_port}")
        while not stop.wait(1.0):
            for child in children:
                child.check()


def _wait_for_port(port: int, child: Child, stop: Stop) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while not stop.is_set():
        child.check()
        with socket.socket() as probe:
            probe.settimeout(0.5)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > deadline:
            raise SetupError(f"{child.name} did not start; see its log {child.log}")
        stop.wait(0.1)
