"""The servers and programs of a run, supervised as `sorafeed up` supervises them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Final

import psutil

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.launch.data_folder import LOCK
from sorafeed_assets.launch.embedded import EmbeddedPostgres, EmbeddedRedis, free_port
from sorafeed_assets.launch.processes import end_left_overs
from sorafeed_assets.launch.servers import psycopg2_url
from sorafeed_assets.launch.supervision import Supervisor, processes
from sorafeed_assets.launch.up import UNCLEAN, Stop, Up
from sorafeed_assets.settings import Settings, load_settings
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets.storage.postgres.migrate import migrate

OWN: Final = "sorafeed chaos"
"""The application_name of the run's own sessions, which are not killed."""
API_PROCESSES: Final = 3
REACTS: Final = 2
_LOOK_SECONDS: Final = 0.1
_DISK: Final = "2g"
_SLEEPS: Final = "import time; [time.sleep(0.02) for _ in range(20)]"
# A program that was killed after it ran this long has not kept failing.
_WELL_SECONDS: Final = 1.0
_POSTGRES: Final = "postgres"
_CLOCK: Final = "clock"
_FAKE_TIME: Final = "*/faketime/libfaketimeMT.so.1"
_ENDED: Final = {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
# The demo's wall calls more often than real players of one token do.
_CALLS: Final = 10_000


@dataclass(slots=True)
class Stage:
    """What runs.

    Attributes:
        settings: with every address.
        folder: the data folder.
        postgres, redis: the servers.
        port: where the processes of the API listen.
        disk: the folder of PostgreSQL's file system; None where none could be made for it.
        clock: the file that steps the clock of API and `react`; None where that is not possible.
        stopped: the process ids that are stopped now.
        ended: why supervision ended; None while it goes on.
    """

    settings: Settings
    folder: Path
    postgres: EmbeddedPostgres
    redis: EmbeddedRedis
    port: int
    ui_port: int
    disk: Path | None = None
    clock: Path | None = None
    stopped: set[int] = field(default_factory=set)
    ended: str | None = None
    _lock: Lock = field(default_factory=Lock)

    def pids(self, *names: str, ready: bool = False) -> dict[str, int]:
        """Process ids by program: those that run, whose name begins with one of ``names``.

        With ``ready``, those that have told since their start that they are.
        """
        return {
            state.name: state.pid
            for state in processes(self.folder)
            if state.pid is not None and state.name.startswith(names) and state.is_ready >= ready
        }

    def answering(self) -> tuple[int, int]:
        """How many processes of the API answer, and how many hang because they are stopped."""
        ready = {pid for pid in self.pids("api", ready=True).values() if _runs(pid)}
        hanging = self.stopped & ready
        return len(ready - hanging), len(hanging)


def empty(folder: Path) -> None:
    """End what an earlier run left in the folder, and remove its files."""
    end_left_overs(folder)
    umount = shutil.which("umount")
    if umount is not None and (folder / _POSTGRES).is_mount():
        subprocess.run([umount, "-l", str(folder / _POSTGRES)], check=True)  # noqa: S603  # our own words
    for each in folder.iterdir():
        if each.is_dir():
            shutil.rmtree(each)
        elif each.name != LOCK:
            each.unlink()


@contextmanager
def open_stage(folder: Path, displays: int, posts: int, stop: Stop) -> Iterator[Stage]:
    """Start everything on a folder that is emptied, with a demo wall that is materialized.

    Raises:
        SetupError: a server or a program does not start.
    """
    empty(folder)
    log = _Log(folder / "supervisor.log")
    supervisor = Supervisor(folder, "chaos", log, patience=_WELL_SECONDS)
    with ExitStack() as stack:
        disk = stack.enter_context(_disk(folder / _POSTGRES))
        postgres = EmbeddedPostgres(folder / _POSTGRES, {"max_wal_size": "256MB"})
        redis = EmbeddedRedis(folder / "redis")
        for server in (postgres, redis):
            stack.callback(server.stop)
            server.start()
            supervisor.watch(server)
        settings = _addressed(folder, postgres, redis)
        clock = _clock(folder)
        stage = Stage(settings, folder, postgres, redis, free_port(), free_port(), disk, clock)
        _migrate(settings)
        programs = stack.enter_context(Up(settings, supervisor, stop, _faked(clock)))
        programs.start_api(stage.port, f"http://127.0.0.1:{stage.ui_port}", API_PROCESSES)
        code = programs.prepare(posts, displays, is_shared=False)
        if code not in (0, UNCLEAN):
            raise SetupError(f"the demo wall is not prepared: exit code {code}")
        programs.start_interface(stage.ui_port)
        programs.start_reacting(REACTS)
        programs.wait_until_ready()
        stack.enter_context(_supervised(stage, programs))
        yield stage


@contextmanager
def _supervised(stage: Stage, programs: Up) -> Iterator[None]:
    ended = Event()

    def watch() -> None:
        try:
            while not ended.wait(_LOOK_SECONDS):
                programs.look()
        except SetupError as error:
            stage.ended = str(error)

    thread = Thread(target=watch, name="supervisor")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _addressed(folder: Path, postgres: EmbeddedPostgres, redis: EmbeddedRedis) -> Settings:
    return load_settings(
        data_dir=folder,
        database_url=postgres.create_database("sorafeed"),
        dagster_url=psycopg2_url(postgres.create_database("dagster")),
        redis_url=redis.url,
        api_calls_per_second=_CALLS,
    )


def _migrate(settings: Settings) -> None:
    engine = create_database_engine(str(settings.database_url), settings)
    try:
        migrate(engine)
    finally:
        engine.dispose()


@contextmanager
def _disk(folder: Path) -> Iterator[Path | None]:
    """A small file system of its own for PostgreSQL; None where this process may not mount one."""
    mount, umount = shutil.which("mount"), shutil.which("umount")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.geteuid() != 0 or mount is None or umount is None:
        yield None
        return
    command = [mount, "-t", "tmpfs", "-o", f"size={_DISK},mode=700", "sorafeed-chaos", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:  # noqa: S603  # our own words
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run([umount, "-l", str(folder)], capture_output=True, check=False)  # noqa: S603  # our own words


def _clock(folder: Path) -> Path | None:
    """The file that libfaketime reads the clock's step from; None without one that works."""
    if not any(Path("/usr/lib").glob(_FAKE_TIME)):
        return None
    file = folder / _CLOCK
    file.write_text("+0")
    # With some versions `time.sleep` fails, which no program has to expect.
    tried = subprocess.run(  # noqa: S603  # this interpreter
        [sys.executable, "-c", _SLEEPS],
        env={**os.environ, **_faked(file)},
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return file if tried.returncode == 0 else None


def _faked(clock: Path | None) -> Mapping[str, str]:
    """The variables with which a program's clock is stepped by the file."""
    if clock is None:
        return {}
    library = next(Path("/usr/lib").glob(_FAKE_TIME))
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",
        # A step of the clock moves the time of day only.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


def _runs(pid: int) -> bool:
    """Whether a process has not ended, though its end may not be noticed yet."""
    try:
        return psutil.Process(pid).status() not in _ENDED
    except psutil.NoSuchProcess:
        return False


class _Log:
    """Writes each line that supervision says to a file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __call__(self, line: str) -> None:
        with self._file.open("a") as output:
            output.write(f"{line}\n")
