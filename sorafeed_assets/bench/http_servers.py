"""The servers that `sorafeed bench api` calls: our own, and PostGraphile beside it."""

import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import Engine

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.launch.embedded import free_port
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.benchmarks.postgraphile import prepare, take_back

_POSTGRAPHILE: Final = "postgraphile@4.14.1"
_CLIPS: Final = "sorafeed_assets.demo.clips"
_START_SECONDS: Final = 60.0


@contextmanager
def our_server(settings: Settings, log: Path) -> Iterator[str]:
    """The API in a process of its own; its address."""
    port = free_port()
    command = [sys.executable, "-m", "sorafeed_assets.serving", str(port), _CLIPS]
    url = f"http://127.0.0.1:{port}"
    with _running(command, settings.as_environment(), log, f"{url}/readyz"):
        yield url


@contextmanager
def postgraphile(engine: Engine, folder: Path) -> Iterator[str | None]:
    """PostGraphile on the same tables; its GraphQL address, None where there is no Node.js."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        yield None
        return
    script = folder / "node_modules" / "postgraphile" / "cli.js"
    if not script.exists():
        folder.mkdir(parents=True, exist_ok=True)
        install = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder)]
        subprocess.run([*install, _POSTGRAPHILE], check=True, capture_output=True)  # noqa: S603  # fixed words
    port = free_port()
    address = engine.url.set(drivername="postgres").render_as_string(hide_password=False)
    command = [node, str(script), "--connection", address, "--schema", "public"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--disable-query-log"]
    command += ["--disable-graphiql", "--max-pool-size", "12", "--simple-collections", "omit"]
    prepare(engine)
    try:
        url = f"http://127.0.0.1:{port}/graphql"
        environment = {"NODE_ENV": "production"}
        with _running(command, environment, folder / "log", f"{url}?query={{__typename}}"):
            yield url
    finally:
        take_back(engine)


@contextmanager
def _running(
    command: Sequence[str], environment: Mapping[str, str], log: Path, ready: str
) -> Iterator[None]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  # our own words
            list(command),
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            _wait(process, ready, log)
            yield
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _wait(process: "subprocess.Popen[bytes]", ready: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(ready, timeout=5):  # noqa: S310  # our own address
                return
        except urllib.error.HTTPError as error:
            if error.code in {400, 405}:  # it answers, and requires a POST
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise SetupError(f"a server to be measured does not start; see {log}")
