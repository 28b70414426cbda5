"""Child processes that end with their parent; after a kill, the next parent ends them."""

import json
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
_RECORDS: Final = "children"
# Of Linux and macOS: a tenth of the processor time of others that want it.
_LESS: Final = 10
_LEAST: Final = 19


class Child:
    """One long-running program and its descendants, in a session of their own.

    Its log is in ``folder``/logs, and its process id in ``folder``/children. A child that
    ``speaks`` writes to the terminal instead. It inherits the open files ``descriptors``. One that
    ``gives_way`` and its descendants have the processors that others leave.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        *,
        speaks: bool = False,
        descriptors: Sequence[int] = (),
        gives_way: bool = False,
    ) -> None:
        self.name = name
        self._gives_way = gives_way
        self._descriptors = tuple(descriptors)
        self._command = list(command)
        self._environment = dict(environment)
        self._speaks = speaks
        slug = name.replace(" ", "-").lower()
        self.log = folder / "logs" / f"{slug}.log"
        self._folder = folder
        self._slug = slug
        self._record: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; what is left of an earlier start is ended first.

        Raises:
            SetupError: there is no /proc, without which it cannot be watched.
        """
        self.stop()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            written = None if self._speaks else output
            self._process = subprocess.Popen(  # noqa: S603  # our own commands
                self._command,
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=written,
                start_new_session=True,
                pass_fds=self._descriptors,
            )
        if self._gives_way:
            # It has one thread yet; those that it starts inherit this.
            os.setpriority(os.PRIO_PROCESS, self._process.pid, min(_LEAST, os.nice(0) + _LESS))
        try:
            self._record = note_session(self._folder, self._slug, self._process.pid)
        except psutil.NoSuchProcess as error:
            self._process.kill()
            raise SetupError(
                f"{self.name} runs, but is not in /proc, by which it would be watched; mount /proc"
            ) from error

    @property
    def pid(self) -> int | None:
        """Its process id; None when it does not run."""
        return None if self._process is None else self._process.pid

    def ended(self) -> str | None:
        """How it ended; None while it runs."""
        code = None if self._process is None else self._process.poll()
        return None if code is None else f"code {code}"

    def check(self) -> None:
        """Raise SetupError if the program has ended."""
        how = self.ended()
        if how is not None:
            raise SetupError(f"{self.name} ended with {how}; see its log {self.log}")

    def wait(self) -> int:
        """Wait for its end; returns its exit code."""
        if self._process is None:
            raise SetupError(f"{self.name} was not started")
        return self._process.wait()

    def stop(self) -> None:
        """End the program and all its descendants: SIGTERM first, then SIGKILL."""
        process, self._process = self._process, None
        if process is None:
            return
        end_session(process.pid)
        process.wait()
        if self._record is not None:
            self._record.unlink(missing_ok=True)


def note_session(folder: Path, name: str, pid: int) -> Path:
    """Note the process that leads a session, for the next owner of the folder; returns the file.

    Raises:
        psutil.NoSuchProcess: it does not exist any more.
    """
    record = folder / _RECORDS / f"{name}-{pid}.json"
    record.parent.mkdir(exist_ok=True)
    record.write_text(json.dumps({"pid": pid, "created": psutil.Process(pid).create_time()}))
    return record


def end_left_overs(folder: Path) -> None:
    """End the processes of an earlier owner of the folder that was killed."""
    for record in sorted((folder / _RECORDS).glob("*.json")):
        try:
            noted = json.loads(record.read_text())
            pid, created = int(noted["pid"]), float(noted["created"])
        except (ValueError, KeyError, TypeError):
            record.unlink()
            continue
        if _is_same(pid, created):
            end_session(pid)
        record.unlink()
    _signal_all(_log_readers(folder), signal.SIGKILL)


def end_descendants() -> None:
    """Kill all remaining descendants of this process."""
    _signal_all(psutil.Process().children(recursive=True), signal.SIGKILL)


def _log_readers(folder: Path) -> list[psutil.Process]:
    """The `tail` processes that copy a run's output for Dagster; they outlive a killed run."""
    logs = str(folder / "dagster" / "storage")
    return [
        process
        for process in psutil.process_iter(["name", "cmdline"])
        if process.info["name"] == "tail"
        and any(part.startswith(logs) for part in process.info["cmdline"] or [])
    ]


def _is_same(pid: int, created: float) -> bool:
    """Whether ``pid`` still names that session; an id is not reused while its session exists."""
    if created < psutil.boot_time() - 1.0:
        return False
    try:
        return abs(psutil.Process(pid).create_time() - created) < 1.0
    except psutil.NoSuchProcess:
        return True


def end_session(pid: int) -> None:
    """End every process of the session that ``pid`` leads or led: SIGTERM first, then SIGKILL."""
    _signal_all(_session(pid), signal.SIGTERM)
    deadline = time.monotonic() + _GRACE_SECONDS
    while (members := _session(pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    _signal_all(members, signal.SIGKILL)


def _session(pid: int) -> list[psutil.Process]:
    """The running processes of a session."""
    members = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == pid and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
        except (ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            continue
    return members


def _signal_all(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue
