"""`sorafeed up`: from an empty folder to live timelines, with an orderly shutdown."""

import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Final, TypeVar

import yaml

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.launch import after
from sorafeed_assets.launch.after import accepts
from sorafeed_assets.launch.api_processes import listen
from sorafeed_assets.launch.dagster_home import environment, prepare_home
from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.launch.fork_server import ApiProgram, ForkServer
from sorafeed_assets.launch.processes import Child
from sorafeed_assets.launch.supervision import Program, Supervisor
from sorafeed_assets.settings import Settings

UNCLEAN: Final = 3
"""The exit code of `sorafeed prepare` when a run or a check failed."""
DEFAULT_PORT: Final = 3000
DEFAULT_API_PORT: Final = 3080
_DONE: Final = "code 0"
_READY_SECONDS: Final = 90.0
_LOOK_SECONDS: Final = 0.1
_POLL_SECONDS: Final = 0.05
_UI_URL: Final = "SORAFEED_DAGSTER_UI_URL"
# The routes of the demo's clips; named, because importing them takes long.
_CLIPS: Final = "sorafeed_assets.demo.clips"
# Each thread would have a heap of its own, and keep what it once needed.
_FEW_ARENAS: Final = {"MALLOC_ARENA_MAX": "2"}

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


class Up:
    """The programs of `sorafeed up`, each of which is restarted when it ends.

    Args:
        settings: with every address.
        supervisor: watches the programs.
        stop: ends the waiting for a program.
        more: further variables of the API and `react`.
    """

    def __init__(
        self,
        settings: Settings,
        supervisor: Supervisor,
        stop: Stop,
        more: Mapping[str, str] | None = None,
    ) -> None:
        self._settings = settings
        self._supervisor = supervisor
        self._stop = stop
        self._more = dict(more or {})
        self._folder = settings.data_dir.resolve()
        self._stack = ExitStack()
        self._workspace = self._folder / "workspace.yaml"
        self._code_port = 0
        self._began = datetime.now(UTC).isoformat()
        self._starting: list[tuple[Program, Callable[[], bool]]] = []
        self._beside: Child | None = None

    def __enter__(self) -> "Up":
        return self

    def __exit__(self, *_exception: object) -> None:
        self._supervisor.end()
        self._stack.close()

    def prepare(self, posts: int | None, displays: int | None, *, is_shared: bool) -> int:
        """Load the demo and materialize everything, in a process that ends; its exit code.

        Raises:
            SetupError: a program that was started before keeps failing.
        """
        options = [*_option("--posts", posts), *_option("--displays", displays)]
        child = self._preparing(options, is_shared=is_shared, speaks=True)
        while child.ended() is None:
            self._supervisor.look()
            # Not `Stop.wait`: a signal breaks off preparing.
            time.sleep(_LOOK_SECONDS)
        return child.wait()

    def prepare_beside(self, *, is_shared: bool) -> None:
        """Materialize what is not up to date while everything runs; `look` says if it failed."""
        self._beside = self._preparing([], is_shared=is_shared, speaks=False)

    def _preparing(self, options: list[str], *, is_shared: bool, speaks: bool) -> Child:
        options = [*options, *([] if is_shared else ["--interrupted-before", self._began])]
        command = [_program("sorafeed"), "prepare", *options]
        # What is prepared beside the rest is not waited for.
        child = Child(
            "prepare",
            command,
            environment(self._settings),
            self._folder,
            speaks=speaks,
            gives_way=not speaks,
        )
        self._stack.callback(child.stop)
        child.start()
        return child

    def start_api(self, port: int, interface: str, processes: int = 1) -> None:
        """Start the API, which serves what is stored while everything else starts.

        Several ``processes`` share the port; see `launch.api_processes`.
        """
        socket = self._stack.enter_context(listen("127.0.0.1", port))
        command = [sys.executable, "-m", "sorafeed_assets.serving", str(port), _CLIPS]
        command += ["--socket", str(socket)]
        told = {_UI_URL: interface, **self._supervisor.variables}
        variables = {**environment(self._settings), **told, **self._more}
        server = ForkServer(command, variables, self._folder, socket)
        self._run(server)
        for number in range(1, processes + 1):
            program = ApiProgram("api" if number == 1 else f"api {number}", server)
            self._run(program, partial(self._is_ready, program), tells=True)

    def _is_ready(self, program: ApiProgram) -> bool:
        return self._supervisor.is_ready(program.pid)

    def start_interface(self, port: int) -> None:
        """Start Dagster's code server and its web server, which needs the code server."""
        # A folder whose databases were restored has no home of Dagster yet.
        prepare_home(self._settings)
        self._code_port = free_port(port + 2)  # beside the UI, so that it is recognized
        self._workspace.write_text(yaml.safe_dump(_workspace(self._code_port)))
        self._start(
            "dagster code server",
            [
                *(_program("dagster"), "code-server", "start"),
                *("-m", "sorafeed_assets.definitions"),
                *("-h", "127.0.0.1", "-p", str(self._code_port)),
            ],
            self._code_port,
            # The sensors that send failures run there, and add a link.
            more={} if self._settings.dagster_ui_url else {_UI_URL: f"http://127.0.0.1:{port}"},
        )
        arguments = ["-w", str(self._workspace), "-h", "127.0.0.1", "-p", str(port)]
        self._start("dagster web server", self._with_code("dagster-webserver", *arguments), port)

    def start_reacting(self, reacts: int = 1) -> None:
        """Start `react`, Dagster's daemon, and following where there is an old system.

        Of several ``reacts`` one leads. `start_interface` was called before.
        """
        for number in range(1, reacts + 1):
            name = "react" if number == 1 else f"react {number}"
            command = [_program("sorafeed"), "react"]
            self._start(name, command, more=self._more, gives_way=False)
        daemon = self._with_code("dagster-daemon", "run", "-w", str(self._workspace))
        self._start("dagster daemon", daemon)
        if self._settings.follows_legacy:
            self._start("legacy", [_program("sorafeed"), "legacy", "follow"])

    def _with_code(self, program: str, *arguments: str) -> list[str]:
        """The command of a program that begins when the code server listens."""
        return [sys.executable, "-m", after.__name__, str(self._code_port), program, *arguments]

    def _start(
        self,
        name: str,
        command: list[str],
        port: int | None = None,
        more: dict[str, str] | None = None,
        *,
        gives_way: bool = True,
    ) -> None:
        """Start a program, which is ready when it listens at the port, if it has one.

        Players and `react` go first; Dagster's runs are descendants of its programs.
        """
        variables = {**environment(self._settings), **_FEW_ARENAS, **(more or {})}
        child = Child(name, command, variables, self._folder, gives_way=gives_way)
        self._run(child, None if port is None else partial(accepts, port))

    def _run(
        self,
        program: Child | ApiProgram | ForkServer,
        is_ready: Callable[[], bool] | None = None,
        *,
        tells: bool = False,
    ) -> None:
        if self._stop.is_set():
            return
        self._stack.callback(program.stop)
        program.start()
        self._supervisor.watch(program, tells=tells)
        if is_ready is not None:
            self._starting.append((program, is_ready))

    def wait_until_ready(self) -> None:
        """Wait until every program that was started accepts connections, or tells that it does.

        Raises:
            SetupError: one of them does not.
        """
        deadline = time.monotonic() + _READY_SECONDS
        for program, is_ready in self._starting:
            while not self._stop.is_set() and not is_ready():
                self._supervisor.look()
                if time.monotonic() > deadline:
                    raise SetupError(f"{program.name} did not start; see its log {program.log}")
                self._stop.wait(_POLL_SECONDS)
        self._starting.clear()

    def watch(self) -> None:
        """Start programs that end again, until there is a request to stop.

        Raises:
            SetupError: one of them keeps failing.
        """
        while not self._stop.wait(_LOOK_SECONDS):
            self.look()

    def look(self) -> None:
        """Start programs again that have ended.

        Raises:
            SetupError: one of them keeps failing.
        """
        self._supervisor.look()
        if self._beside is not None and (how := self._beside.ended()) is not None:
            if how != _DONE:
                self._supervisor.say(
                    "materializing what was not up to date ended with"
                    f" {how}; its log is {self._beside.log}"
                )
            self._beside = None


def _program(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def _option(name: str, value: int | None) -> list[str]:
    return [] if value is None else [name, str(value)]


def _workspace(code_port: int) -> dict[str, object]:
    location = {"host": "127.0.0.1", "port": code_port, "location_name": "sorafeed_assets"}
    return {"load_from": [{"grpc_server": location}]}
