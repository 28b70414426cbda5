"""The API as a process of its own, as `sorafeed up` runs it."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.cli.running import environment
from sorafeed_assets_tests.serving.client import readiness, wait_until


@dataclass(frozen=True, slots=True)
class Served:
    """A running server."""

    url: str
    pid: int


@contextmanager
def served(
    settings: Settings, port: int | None = None, modules: Sequence[str] = ()
) -> Iterator[Served]:
    """Run a server for as long as the block lasts; it is ready.

    ``modules`` have further routes.
    """
    port = port or free_port()
    with subprocess.Popen(
        [sys.executable, "-m", "sorafeed_assets.serving", str(port), *modules],
        env=environment(**settings.as_environment()),
        stdout=subprocess.DEVNULL,
    ) as process:
        url = f"http://127.0.0.1:{port}"

        def is_ready() -> bool:
            assert process.poll() is None, "the server ended"
            try:
                return bool(readiness(url).json()["status"] == "ready")
            except httpx.TransportError:
                return False

        try:
            wait_until(is_ready)
            yield Served(url, process.pid)
        finally:
            process.terminate()
