"""Processes of the API, forked from one that has imported everything.

Each is ready a third of a second after it was asked for, however many end at once; and what was
imported is in memory once for all of them.
"""

import socket
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from sorafeed_assets.launch.processes import Child, end_session, note_session
from sorafeed_assets.serving.forking import MESSAGE, RUNS

NAME: Final = "fork server"
_API: Final = "api"
# It answers at once, but not while it imports.
_ANSWER_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.1
# Each thread would have a heap of its own, and keep what it once needed; and a process with several
# threads cannot be forked safely.
_FEW_THREADS: Final = {"MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1"}


@dataclass(slots=True, eq=False)
class _Forked:
    """A process that was asked for.

    Attributes:
        pid: its process id; None until it is forked.
        code: its exit code, as soon as the fork server tells it.
        is_orphan: whether its fork server has ended.
        process: to see whether an orphan runs.
        record: the file that names it to the next owner of the data folder.
    """

    pid: int | None = None
    code: int | None = None
    is_orphan: bool = False
    process: psutil.Process | None = None
    record: Path | None = None


class ForkServer:
    """The process that forks. It is watched like every other program.

    Args:
        command: of a process of the API, which gets ``--fork`` in addition.
        variables: its environment.
        folder: the data folder, for its log and the records of what runs.
        listening: the file descriptor of the socket that the API's processes accept from.
    """

    name = NAME

    def __init__(
        self, command: Sequence[str], variables: Mapping[str, str], folder: Path, listening: int
    ) -> None:
        self._command = list(command)
        self._variables = {**_FEW_THREADS, **variables}
        self._folder = folder
        self._listening = listening
        self._child: Child | None = None
        self._owner: socket.socket | None = None
        self._asked: deque[_Forked] = deque()
        self._running: dict[int, _Forked] = {}
        self.log = folder / "logs" / f"{_API}.log"

    @property
    def pid(self) -> int | None:
        """Its process id; None when it does not run."""
        return None if self._child is None else self._child.pid

    def start(self) -> None:
        """Start it, unless it runs."""
        if self._child is not None and self._child.ended() is None:
            return
        self.stop()
        self._owner, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            inherited = [self._listening, theirs.fileno()]
            command = [*self._command, "--fork", str(theirs.fileno())]
            child = Child(_API, command, self._variables, self._folder, descriptors=inherited)
            child.start()
        self._child = child

    def ended(self) -> str | None:
        """How it ended; None while it runs."""
        return None if self._child is None else self._child.ended()

    def stop(self) -> None:
        """End it; the processes that it forked run on."""
        self.look()
        for forked in (*self._asked, *self._running.values()):
            forked.is_orphan = True
        self._asked.clear()
        self._running.clear()
        if self._owner is not None:
            self._owner.close()
            self._owner = None
        if self._child is not None:
            self._child.stop()
            self._child = None

    def fork(self) -> _Forked:
        """Ask for a process, which comes soon; one that has ended is started first."""
        self.start()
        forked = _Forked()
        self._asked.append(forked)
        if self._owner is not None:
            # If it ends just now, its end is noticed like that of every program.
            with suppress(OSError):
                self._owner.send(NAME.encode())
        return forked

    def look(self, seconds: float = 0.0) -> None:
        """Hear what was forked and what ended; waits at most ``seconds`` for the first message."""
        while self._owner is not None:
            self._owner.settimeout(seconds)
            try:
                message = self._owner.recv(MESSAGE.size)
            except OSError:
                return
            if not message:
                return
            self._hear(*MESSAGE.unpack(message))
            seconds = 0.0

    def _hear(self, pid: int, code: int) -> None:
        if code != RUNS:
            if pid in self._running:
                self._running.pop(pid).code = code
            return
        forked = self._asked.popleft()
        forked.pid = pid
        self._running[pid] = forked
        with suppress(psutil.NoSuchProcess):
            forked.process = psutil.Process(pid)
            forked.record = note_session(self._folder, _API, pid)


class ApiProgram:
    """One process of the API."""

    def __init__(self, name: str, server: ForkServer) -> None:
        self.name = name
        self.log = server.log
        self._server = server
        self._forked: _Forked | None = None

    @property
    def pid(self) -> int | None:
        """Its process id; None when it does not run yet."""
        self._server.look()
        return None if self._forked is None else self._forked.pid

    def start(self) -> None:
        """Start it; what is left of an earlier start is ended first."""
        self.stop()
        self._forked = self._server.fork()

    def ended(self) -> str | None:
        """How it ended; None while it runs."""
        self._server.look()
        forked = self._forked
        if forked is None:
            return None
        if forked.code is not None:
            return f"code {forked.code}"
        if not self._is_orphan(forked):
            return None
        if forked.pid is None:
            return f"its {NAME}"
        return None if _runs(forked.process) else "an unknown code"

    def _is_orphan(self, forked: _Forked) -> bool:
        return forked.is_orphan or self._server.ended() is not None

    def stop(self) -> None:
        """End it."""
        forked, self._forked = self._forked, None
        if forked is None:
            return
        deadline = time.monotonic() + _ANSWER_SECONDS
        while forked.pid is None and not self._is_orphan(forked) and time.monotonic() < deadline:
            self._server.look(_LOOK_SECONDS)
        if forked.pid is not None:
            end_session(forked.pid)
        if forked.record is not None:
            forked.record.unlink(missing_ok=True)


def _runs(process: psutil.Process | None) -> bool:
    try:
        return process is not None and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
