"""Several processes of the API behind one port, restarted one after another.

They inherit one listening socket: whichever is free accepts the next connection. One that hangs
accepts none, one that is killed takes none with it, and while all are away connections wait. A
restart starts the new process before it ends the old one. A connection is accepted when its request
arrives, so that one that has said nothing yet does not end with the process that accepted it.
"""

import contextlib
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import Final

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.launch.fork_server import ApiProgram, ForkServer
from sorafeed_assets.launch.supervision import Supervisor

_READY_SECONDS: Final = 90.0
_LOOK_SECONDS: Final = 0.1
_WAITING_CONNECTIONS: Final = 1_024
_SILENT_SECONDS: Final = 30


@contextlib.contextmanager
def listen(host: str, port: int) -> Iterator[int]:
    """A socket that listens as long as the block lasts; its file descriptor, to be inherited.

    Raises:
        SetupError: the port is taken, or this machine has no such address.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.create_server(address[:2], family=family, backlog=_WAITING_CONNECTIONS)
    except OSError as error:
        raise SetupError(f"port {port} of {host} cannot be used: {error.strerror}") from error
    with listening:
        listening.setblocking(False)
        if sys.platform == "linux":
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, _SILENT_SECONDS)
        yield listening.fileno()


class ApiProcesses:
    """The processes, and the one that forks them; each that ends is restarted.

    Args:
        socket: the file descriptor of the socket that all of them accept connections from.
        arguments: those of `python -m sorafeed_assets.serving`.
        environment: their variables.
        folder: the data folder, for their logs.
        supervisor: watches them.
    """

    def __init__(
        self,
        socket: int,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        supervisor: Supervisor,
    ) -> None:
        self._socket = socket
        self._command = [sys.executable, "-m", "sorafeed_assets.serving", *arguments]
        self._command += ["--socket", str(socket)]
        self._environment = {**environment, **supervisor.variables}
        self._folder = folder
        self._supervisor = supervisor
        # The first is watched; the others are of restarts that failed.
        self._servers = [self._fork_server()]
        self._programs: list[ApiProgram] = []

    def _fork_server(self) -> ForkServer:
        return ForkServer(self._command, self._environment, self._folder, self._socket)

    def __enter__(self) -> "ApiProcesses":
        return self

    def __exit__(self, *_exception: object) -> None:
        self._supervisor.end()
        for program in self._programs:
            program.stop()
        for server in self._servers:
            server.stop()

    def start(self, processes: int) -> None:
        """Start the processes, and wait until each is ready.

        Raises:
            SetupError: one of them does not start.
        """
        server = self._servers[0]
        server.start()
        self._supervisor.watch(server)
        for number in range(1, processes + 1):
            program = self._started("api" if number == 1 else f"api {number}", server)
            self._programs.append(program)
            self._supervisor.watch(program, tells=True)

    def restart(self) -> None:
        """Replace each process by one of a new fork server, one after another.

        Raises:
            SetupError: a new one does not start; the old one keeps running.
        """
        server = self._fork_server()
        # If one of its processes does not start, those before it have been replaced already.
        self._servers.append(server)
        for number, old in enumerate(self._programs):
            new = self._started(old.name, server)
            self._programs[number] = new
            self._supervisor.replace(old, new)
            old.stop()
        self._supervisor.replace(self._servers[0], server)
        for old_server in self._servers[:-1]:
            old_server.stop()
        self._servers = [server]

    def _started(self, name: str, server: ForkServer) -> ApiProgram:
        program = ApiProgram(name, server)
        program.start()
        waited = 0.0
        while not self._supervisor.is_ready(program.pid, _LOOK_SECONDS):
            waited += _LOOK_SECONDS
            how = program.ended()
            if how is not None or waited > _READY_SECONDS:
                program.stop()
                raise SetupError(
                    f"{name} {'ended with ' + how if how else 'did not start'};"
                    f" see its log {program.log}"
                )
        return program

    def watch(self, stop: Event, reload: Event) -> None:
        """Start processes that end again, and restart all on ``reload``, until ``stop``.

        Raises:
            SetupError: one of them keeps failing.
        """
        while not stop.wait(_LOOK_SECONDS):
            if reload.is_set():
                reload.clear()
                self._supervisor.say("restarting the processes of the API, one after another")
                try:
                    self.restart()
                except SetupError as error:
                    self._supervisor.say(f"not restarted: {error}")
                else:
                    self._supervisor.say("all processes of the API are new")
            self._supervisor.look()
