"""Supervision: a program that ends is restarted, until it keeps failing.

A loop of our own rather than circus or supervisor: what is watched is not only commands but the
embedded servers too, which start in an order, at ports that stay; all have to end with their
parent, and neither program does that without a daemon and a configuration of its own.
"""

import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol
from uuid import uuid4

import psutil

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.serving.notify import readiness

_FILES: Final = "processes-*.json"
_FIRST_PAUSE: Final = 0.1
_GROWTH: Final = 3
_LONGEST_PAUSE: Final = 15.0
_WELL_SECONDS: Final = 60.0
_MOST_FAILURES: Final = 8
_LAST_LINES: Final = 15
_LOOK_SECONDS: Final = 0.1
_REPLACED_SECONDS: Final = 120.0


class Program(Protocol):
    """A program that can be restarted after it ended."""

    @property
    def name(self) -> str:
        """Its name, for people."""

    @property
    def log(self) -> Path:
        """The file of its output."""

    @property
    def pid(self) -> int | None:
        """Its process id; None when it does not run."""

    def start(self) -> None:
        """Start it; raises SetupError if it does not start."""

    def ended(self) -> str | None:
        """How it ended ("code -9"); None while it runs."""


@dataclass(frozen=True, slots=True)
class ProcessState:
    """One process that a running command watches.

    Attributes:
        name: the program.
        pid: its process id; None while it waits to be restarted.
        since: when it was last started (ISO 8601, UTC).
        restarts: how often it was restarted.
        is_ready: whether it does its work; for a program that does not tell, whether it runs.
    """

    name: str
    pid: int | None
    since: str
    restarts: int
    is_ready: bool = True


@dataclass(slots=True)
class _Watched:
    program: Program
    tells: bool
    started: float
    since: datetime
    restarts: int = 0
    failures: int = 0
    # When it is to be restarted; None while it runs.
    due: float | None = None


class Supervisor:
    """Watches programs, in the order in which they depend on each other.

    Args:
        folder: the data folder, where `processes` finds what runs.
        owner: the command that watches ("up").
        say: prints one line.
        clock: monotonic seconds.
        patience: a program that ran this many seconds has not kept failing.

    Attributes:
        variables: those of programs that tell when they are ready.
    """

    def __init__(
        self,
        folder: Path,
        owner: str,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        patience: float = _WELL_SECONDS,
    ) -> None:
        self._file = folder / _FILES.replace("*", owner)
        self.say = say
        self._clock = clock
        self._patience = patience
        self._watched: list[_Watched] = []
        self._stack = ExitStack()
        self._readiness = self._stack.enter_context(readiness())
        self._ready: set[int] = set()
        self._published: list[int | None] = []
        self.variables = self._readiness.environment

    def watch(self, program: Program, *, tells: bool = False) -> None:
        """Watch a program that was started (again); whether it ``tells`` when it is ready."""
        self._watched = [each for each in self._watched if each.program is not program]
        self._watched.append(_Watched(program, tells, self._clock(), datetime.now(UTC)))
        self._publish()

    def is_ready(self, pid: int | None, seconds: float = 0.0) -> bool:
        """Whether a process has told that it is ready, after at most ``seconds``."""
        while pid not in self._ready and (told := self._readiness.told(seconds)) is not None:
            self._ready.add(told)
        return pid in self._ready

    def replace(self, old: Program, new: Program) -> None:
        """Watch ``new``, which was started, instead of ``old``."""
        for watched in self._watched:
            if watched.program is old:
                watched.program, watched.due = new, None
                watched.started, watched.since = self._clock(), datetime.now(UTC)
                watched.restarts += 1
        self._publish()

    def look(self) -> None:
        """Note programs that ended, and start those whose pause is over.

        Raises:
            SetupError: a program keeps failing; the message has its last lines.
        """
        is_new = False
        while (told := self._readiness.told()) is not None:
            self._ready.add(told)
            is_new = True
        # A program that another one forks has its process id later than its start.
        if is_new or self._published != self._pids():
            self._publish()
        for watched in self._watched:
            if watched.due is None:
                how = watched.program.ended()
                if how is not None:
                    self._failed(watched, f"ended with {how}")
            elif self._clock() >= watched.due:
                self._start_again(watched)

    def _start_again(self, watched: _Watched) -> None:
        try:
            watched.program.start()
        except SetupError as error:
            self._failed(watched, f"did not start again ({error})")
            return
        watched.due = None
        watched.started, watched.since = self._clock(), datetime.now(UTC)
        watched.restarts += 1
        self._publish()

    def _failed(self, watched: _Watched, what: str) -> None:
        program, now = watched.program, self._clock()
        if now - watched.started >= self._patience:
            watched.failures = 0
        watched.failures += 1
        if watched.failures > _MOST_FAILURES:
            raise SetupError(
                f"{program.name} {what}, {watched.failures} times in a row; its log is"
                f" {program.log}, which ends with:\n{last_lines(program.log)}"
            )
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * _GROWTH ** (watched.failures - 1))
        watched.due = now + pause
        self.say(f"{program.name} {what}; it is restarted in {pause:g} s")
        self._publish()

    def _pids(self) -> list[int | None]:
        return [None if each.due is not None else each.program.pid for each in self._watched]

    def _publish(self) -> None:
        self._published = self._pids()
        states = [
            ProcessState(
                watched.program.name,
                pid,
                watched.since.isoformat(timespec="seconds"),
                watched.restarts,
                watched.due is None and (not watched.tells or pid in self._ready),
            )
            for watched, pid in zip(self._watched, self._published, strict=True)
        ]
        part = self._file.with_suffix(f".{uuid4()}")
        stored = {"owner": os.getpid(), "processes": [asdict(state) for state in states]}
        part.write_text(json.dumps(stored, indent=1))
        part.replace(self._file)

    def end(self) -> None:
        """Forget what was watched."""
        self._watched = []
        self._stack.close()
        self._file.unlink(missing_ok=True)


def processes(folder: Path) -> tuple[ProcessState, ...]:
    """The processes that the running commands of a data folder watch."""
    found: list[ProcessState] = []
    for file in sorted(folder.glob(_FILES)):
        with suppress(FileNotFoundError):
            stored = json.loads(file.read_text())
            # An owner that was killed leaves its file.
            if psutil.pid_exists(stored["owner"]):
                found += [ProcessState(**each) for each in stored["processes"]]
    return tuple(found)


def restart_served(folder: Path) -> int:
    """Let the running `serve` of a data folder replace its processes; returns how many are new.

    Raises:
        SetupError: none with several processes runs, or it did not replace them.
    """
    before = _served(folder)
    if before is None:
        raise SetupError(
            f"no `sorafeed serve --api-processes` runs on {folder}; one with a single process is"
            " restarted by ending it and starting it again"
        )
    owner, states = before
    old = {state.pid for state in states}
    os.kill(owner, signal.SIGHUP)
    deadline = time.monotonic() + _REPLACED_SECONDS * len(states)
    while time.monotonic() < deadline and psutil.pid_exists(owner):
        now = _served(folder)
        # One that was being started again is not among the old ones.
        if now is not None and all(each.is_ready and each.pid not in old for each in now[1]):
            # One of them is the server that forks the others.
            return len(now[1]) - 1
        time.sleep(_LOOK_SECONDS)
    raise SetupError("not all processes of the API were replaced; `sorafeed serve` has printed why")


def _served(folder: Path) -> tuple[int, Sequence[ProcessState]] | None:
    """The running `serve` of a data folder and its processes; None without one."""
    try:
        stored = json.loads((folder / _FILES.replace("*", "serve")).read_text())
        own = {child.pid for child in psutil.Process(stored["owner"]).children(recursive=True)}
    except (FileNotFoundError, psutil.NoSuchProcess):
        return None
    states = [ProcessState(**each) for each in stored["processes"]]
    # What a killed owner left may name the process of another program.
    is_own = any(state.pid in own for state in states)
    return (stored["owner"], states) if is_own else None


def last_lines(log: Path) -> str:
    """The last lines of a log, indented."""
    try:
        lines: Sequence[str] = log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
    except OSError:
        lines = ()
    return _indented(lines or ("(nothing)",))


def _indented(lines: Iterable[str]) -> str:
    return "\n".join(f"  {line}" for line in lines)
