"""The folder that `sorafeed up` owns: one owner at a time, and the addresses to join it."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, TextIO
from uuid import uuid4

from sorafeed_assets.domain.errors import SetupError

LOCK: Final = "up.lock"
"""The file that the owner of a folder has locked."""
_RUNTIME: Final = "runtime.json"
_PROBE_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Runtime:
    """Where the servers of a running `sorafeed up` are."""

    pid: int
    database_url: str
    dagster_url: str
    redis_url: str


def prepare(folder: Path) -> Path:
    """Create the folder and check that it is writable; returns its absolute path.

    Raises:
        SetupError: it cannot be created or written to.
    """
    folder = folder.resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Other programs may look at the same time.
        probe = folder / f".writable-{uuid4()}"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise SetupError(
            f"{folder} cannot be written to ({error.strerror}); choose another with --data-dir"
        ) from error
    return folder


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Be the folder's only owner.

    Raises:
        SetupError: another `sorafeed` owns it.
    """
    with (folder / LOCK).open("a+") as lock:
        if not _locked(lock, _PROBE_SECONDS):
            raise SetupError(
                f"another sorafeed command is using {folder}; end it, or choose another folder"
                " with --data-dir"
            )
        (folder / _RUNTIME).unlink(missing_ok=True)  # left by an owner that was killed
        try:
            yield
        finally:
            (folder / _RUNTIME).unlink(missing_ok=True)


def publish(folder: Path, runtime: Runtime) -> None:
    """Store the servers' addresses for other commands; only this user may read the file."""
    target = folder / _RUNTIME
    part = target.with_suffix(".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(asdict(runtime), file)
    part.replace(target)


def running(folder: Path) -> Runtime | None:
    """The servers of the folder's current owner, to join; None when no command owns it."""
    lock_file = folder / LOCK
    if not lock_file.exists():
        return None
    with lock_file.open("r") as lock:
        if _locked(lock, 0):
            return None
    try:
        return Runtime(**json.loads((folder / _RUNTIME).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise SetupError(
            f"another sorafeed command is using {folder}; try again when it has ended"
        ) from error


def _locked(lock: TextIO, seconds: float) -> bool:
    """Acquire the lock; False if it is held. A command that only checks holds it briefly."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)
        else:
            return True
