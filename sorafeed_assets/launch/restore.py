"""`sorafeed restore`: a backup into both databases, in full or not at all."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Final

from redis import Redis
from sqlalchemy import Engine

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.launch.backup import (
    DAGSTER,
    FORMAT,
    MANIFEST,
    OURS,
    checksum,
    connection_variables,
    databases,
    program_for,
)
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.backups import (
    CLEAR,
    Backup,
    filled_tables,
    has_tables,
    other_sessions,
    server_version,
    store_backup,
)
from sorafeed_assets.storage.cache.redis import create_redis_client, forget_all, redis_errors
from sorafeed_assets.storage.postgres.migrate import knows_revision, migrate
from sorafeed_assets.storage.postgres.roles import owner_to_act_as, restate

_NAMES: Final = (OURS, DAGSTER)
_BEGIN: Final = """
SET client_min_messages = warning;
BEGIN;
SET statement_timeout = 0;
SET lock_timeout = '10s';
SET idle_in_transaction_session_timeout = 0;
"""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself.

    Attributes:
        folder: the backup.
        made_at: the moment whose rows it has.
        version: the release that made it.
        revision: the schema's revision.
        postgres: the server's version, such as 180006.
        bytes: of all files.
    """

    folder: Path
    made_at: datetime
    version: str
    revision: str
    postgres: int
    bytes: int

    def file(self, name: str) -> Path:
        """The dump of a database."""
        return self.folder / f"{name}.dump"


def read_manifest(folder: Path) -> Manifest:
    """Read a backup's manifest, and compare every file with it.

    Raises:
        SetupError: it is no backup, or a file is missing, torn or changed.
    """
    try:
        given = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if given["format"] != FORMAT:
            raise SetupError(
                f"{folder} has the format {given['format']}, and this release reads {FORMAT};"
                f" restore it with the release {given['version']} that made it"
            )
        files: Mapping[str, Mapping[str, object]] = given["files"]
        manifest = Manifest(
            folder,
            datetime.fromisoformat(given["made_at"]),
            str(given["version"]),
            str(given["revision"]),
            int(given["postgres"]),
            sum(int(str(file["bytes"])) for file in files.values()),
        )
        for name in _NAMES:
            _compare(manifest.file(name), files[manifest.file(name).name])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SetupError(
            f"{folder} is not a complete backup ({type(error).__name__}: {error}); choose a folder"
            " that `sorafeed backup` has printed"
        ) from error
    return manifest


def _compare(file: Path, stated: Mapping[str, object]) -> None:
    found = file.stat().st_size
    if found != stated["bytes"]:
        raise SetupError(f"{file} has {found} bytes, and its manifest says {stated['bytes']}:"
                         " it is torn; choose another backup")  # fmt: skip
    if checksum(file) != stated["sha256"]:
        raise SetupError(f"{file} was changed: its checksum differs; choose another backup")


def restore(settings: Settings, folder: Path, *, replace: bool = False) -> Manifest:
    """Restore both databases, and bring an older schema to this release's.

    Both are filled in one transaction each, which are committed when both are complete. Redis
    loses what it had, and is filled again by the API and `react`.

    Raises:
        SetupError: the backup is torn, or of a schema that this release does not know; the target
            has rows and is not to be replaced, or is in use; a program is missing or fails.
    """
    manifest = read_manifest(folder)
    if settings.redis_url is not None:
        # Before anything is written: what it has may be newer than the backup.
        _in_redis(str(settings.redis_url), Redis.ping)
    with databases(settings) as (ours, dagster):
        engines = {OURS: ours, DAGSTER: dagster}
        with ours.connect() as connection:
            server = server_version(connection)
            if not knows_revision(manifest.revision):
                raise SetupError(
                    f"the backup's schema {manifest.revision} is newer than this release;"
                    f" restore it with the release {manifest.version} or later"
                )
            owner = owner_to_act_as(connection)
        if server // 10_000 < manifest.postgres // 10_000:
            raise SetupError(
                f"the backup is of PostgreSQL {manifest.postgres // 10_000}, and the server is"
                f" {server // 10_000}; restore it into a server that is not older"
            )
        for name, engine in engines.items():
            _check_target(engine, name, replace=replace)
        has_schema = {name: _has_tables(engine) for name, engine in engines.items()}
        addresses = {OURS: str(settings.database_url), DAGSTER: str(settings.dagster_url)}
        programs = program_for("psql", server), program_for("pg_restore", server)
        with ExitStack() as stack:
            filled = [
                stack.enter_context(
                    _Filling(programs, addresses[name], owner if name == OURS else None)
                )
                for name in _NAMES
            ]
            for name, filling in zip(_NAMES, filled, strict=True):
                filling.fill(manifest.file(name), clear=has_schema[name])
            for filling in filled:
                filling.commit()
        _finish(ours, dagster, manifest)
    if settings.redis_url is not None:
        _in_redis(str(settings.redis_url), forget_all)
    return manifest


def _in_redis(address: str, work: Callable[[Redis], object]) -> None:
    with create_redis_client(address) as redis, redis_errors(redis):
        work(redis)


def _check_target(engine: Engine, name: str, *, replace: bool) -> None:
    with engine.connect() as connection:
        sessions = other_sessions(connection)
        filled = filled_tables(connection)
    if sessions:
        raise SetupError(
            f"{sessions} other sessions use the database {name}; stop `sorafeed up`, the API,"
            " `react` and Dagster first"
        )
    if filled and not replace:
        raise SetupError(
            f"the database {name} is not empty: {', '.join(filled[:3])} have rows; restore into an"
            " empty one, or replace what it has with --replace"
        )


def _has_tables(engine: Engine) -> bool:
    with engine.connect() as connection:
        return has_tables(connection)


def _finish(ours: Engine, dagster: Engine, manifest: Manifest) -> None:
    with ours.begin() as connection:
        restate(connection)
        store_backup(
            connection, Backup(manifest.made_at, str(manifest.folder), manifest.bytes, 0.0)
        )
    migrate(ours)
    for engine in (ours, dagster):
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("ANALYZE")


class _Filling:
    """One database that psql fills in a transaction, which only `commit` ends well.

    Args:
        programs: psql and pg_restore.
        address: the database.
        owner: the role that is to own the tables; None for the login.
    """

    def __init__(self, programs: tuple[str, str], address: str, owner: str | None) -> None:
        self._psql, self._pg_restore = programs
        self._environment = {**os.environ, **connection_variables(address)}
        self._owner = owner

    def __enter__(self) -> "_Filling":
        self._process = subprocess.Popen(  # noqa: S603  # PostgreSQL's own program
            [self._psql, "--no-psqlrc", "--no-password", "--quiet", "--set=ON_ERROR_STOP=1"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=self._environment,
        )
        return self

    def __exit__(self, *_exception: object) -> None:
        # Without a COMMIT the server rolls back.
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stderr):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()

    def fill(self, dump: Path, *, clear: bool) -> None:
        """Send everything but the COMMIT.

        Raises:
            SetupError: a program has failed; nothing was changed.
        """
        beginning = [
            _BEGIN,
            f'SET ROLE "{self._owner}";' if self._owner else "",
            CLEAR if clear else "",
        ]
        command = [self._pg_restore, "--no-owner", "--no-privileges", "--exit-on-error",
                   "--file=-", str(dump)]  # fmt: skip
        with subprocess.Popen(  # noqa: S603  # PostgreSQL's own program
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as reading:
            assert reading.stdout is not None  # noqa: S101  # a pipe
            try:
                self._input.write("\n".join(beginning).encode())
                shutil.copyfileobj(reading.stdout, self._input, 1 << 20)
                self._input.flush()
            except BrokenPipeError:
                reading.kill()
                raise self._failed() from None
            error = reading.stderr.read().decode().strip() if reading.stderr else ""
        if reading.returncode:
            raise SetupError(f"pg_restore failed: {error}; nothing was changed")

    def commit(self) -> None:
        """Commit, and wait until that is done.

        Raises:
            SetupError: the server did not confirm it, so the database has all or nothing.
        """
        error = self._process.communicate(b"COMMIT;\n")[1].decode().strip()
        if self._process.returncode:
            raise SetupError(f"psql failed at the COMMIT: {error}; restore again, with --replace")

    @property
    def _input(self) -> IO[bytes]:
        assert self._process.stdin is not None  # noqa: S101  # a pipe
        return self._process.stdin

    def _failed(self) -> SetupError:
        self._process.wait()
        error = self._process.stderr.read().decode().strip() if self._process.stderr else ""
        return SetupError(f"psql failed: {error}; nothing was changed")
