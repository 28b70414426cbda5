"""`sorafeed up`: from an empty folder to live timelines, and everything ended at the end."""

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
    """The wish to stop, by Ctrl-C or SIGTERM.

    While we prepare, the first signal breaks off what is being done; while we serve it is waited
    for. Further ones change nothing: what was started is being ended already.
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
        """Wait for the wish, no longer than that; whether it is there."""
        self._breaks_off = False
        return self._event.wait(seconds)


def in_background(work: Callable[[], _Result]) -> _Result:
    """The result of ``work``, which is left to itself when a signal breaks off our waiting.

    In the main thread Dagster takes signals over, and retries the step that one broke off.
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
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # the terminal was closed; no nohup
        signals.append(signal.SIGHUP)
    before = {number: signal.signal(number, stop.on_signal) for number in signals}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def choose_port(wanted: int | None, usual: int = DEFAULT_PORT, option: str = "--port") -> int:
    """The port asked for, or the usual one, or any that is free.

    Raises:
        SetupError: the port that was asked for is taken.
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
        SetupError: one of them does not come up, or ends.
    """
    stop.wait(0)  # from now on a signal is waited for: no child is left half started
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
            raise SetupError(f"{child.name} did not start; its log {child.log} says why")
        stop.wait(0.1)
