"""`sorafeed react` as a process of its own, and a player that is connected to the API."""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Final
from urllib.parse import urlsplit

from sqlalchemy import Engine

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.launch.dagster_home import environment
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.benchmarks.react import leader

_START_SECONDS: Final = 60.0
_SILENCE_SECONDS: Final = 60.0


@contextmanager
def our_react(settings: Settings, engine: Engine, log: Path) -> Iterator[int]:
    """Run `sorafeed react` until it leads; yields its process id."""
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", "from sorafeed_assets.cli import main; main()", "react"]
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  # our own words
            command,
            env={**os.environ, **environment(settings)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            _wait(process, engine, log)
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: "subprocess.Popen[bytes]", engine: Engine, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with engine.connect() as connection:
            if leader(connection) == process.pid:
                return
        time.sleep(0.1)
    raise SetupError(f"`sorafeed react` does not start; see {log}")


class Player:
    """A player connected to its display's event stream for as long as the block lasts."""

    def __init__(self, url: str, display: str, token: str) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(
            parts.hostname or "", parts.port, timeout=_SILENCE_SECONDS
        )
        self._connection.request(
            "GET",
            f"/api/displays/{display}/events",
            headers={"authorization": f"Bearer {token}", "accept-encoding": "identity"},
        )
        self._response = self._connection.getresponse()
        self._open = Event()
        self._thread = Thread(target=self._read, daemon=True)
        self.heard_at: float | None = None

    def __enter__(self) -> "Player":
        self._thread.start()
        if self._response.status != http.client.OK or not self._open.wait(_SILENCE_SECONDS):
            raise SetupError(f"no stream of changes: {self._response.status}")
        return self

    def __exit__(self, *_exception: object) -> None:
        sock = self._connection.sock
        if sock is not None:
            sock.shutdown(2)
        self._thread.join(timeout=5)
        self._connection.close()

    def forget(self) -> None:
        """Discard the events received so far."""
        self.heard_at = None

    def _read(self) -> None:
        try:
            for line in self._response:
                if line.startswith(b"event: open"):
                    self._open.set()
                elif line.startswith(b"event: change") and self.heard_at is None:
                    self.heard_at = time.perf_counter()
        except (OSError, http.client.HTTPException, ValueError):
            return
