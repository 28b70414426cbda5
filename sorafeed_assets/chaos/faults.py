"""Injecting faults, and measuring how soon everything answers again."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Lock
from typing import Final

import psycopg
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from sorafeed_assets.chaos.plan import Fault, Kind
from sorafeed_assets.chaos.players import Told
from sorafeed_assets.chaos.stage import OWN, Stage
from sorafeed_assets.launch.fork_server import NAME as FORK_SERVER
from sorafeed_assets.storage import chaos as sql
from sorafeed_assets.storage.benchmarks.react import leader
from sorafeed_assets.storage.cache.redis import TIMELINE_KEYS, matching_keys

_LOOK_SECONDS: Final = 0.05
_TARGET_SECONDS: Final = 20.0
_RECOVERY_SECONDS: Final = 90.0
_BLOCK: Final = 1 << 20
_STEPS: Final = ("+3600", "-3600", "+45", "-45", "+86400", "-5")

Condition = Callable[[], bool]
_Action = Callable[[Fault], tuple[str, Condition]]


@dataclass(frozen=True, slots=True)
class Injected:
    """A fault that was injected.

    Attributes:
        kind: what it was.
        at: seconds after the start.
        target: the process or thing; empty when there was none.
        recovery: seconds from its end until everything concerned answered; None if it did not.
    """

    kind: Kind
    at: float
    target: str
    recovery: float | None


class Faults:
    """Injects faults into what runs.

    Args:
        stage: the servers and programs.
        engine: a database engine of the run's own.
        redis: a client of the run's own.
        told: what the players told, which says when a play was acknowledged last.
        displays: how many there are.
        stop: ends every wait.
    """

    def __init__(
        self, stage: Stage, engine: Engine, redis: Redis, told: Told, displays: int, stop: Event
    ) -> None:
        self._stage = stage
        self._engine = engine
        self._redis = redis
        self._told = told
        self._displays = displays
        self._stop = stop
        self._started = time.monotonic()
        self._lock = Lock()
        self._exclusive = {
            kind: Lock() for kind in (Kind.FULL_DISK, Kind.DAGSTER_AWAY, Kind.CLOCK_STEP)
        }
        self._actions: dict[Kind, _Action] = {
            **self._programs(),
            Kind.KILL_POSTGRES: lambda fault: self._end_postgres(fault, signal.SIGKILL),
            Kind.RESTART_POSTGRES: lambda fault: self._end_postgres(fault, signal.SIGINT),
            Kind.KILL_BACKEND: self._kill_backend,
            Kind.STOP_BACKEND: self._stop_backend,
            Kind.FLUSH_REDIS: lambda _fault: self._flush_redis(),
            Kind.DAGSTER_AWAY: self._take_dagster_away,
            Kind.FULL_DISK: self._fill_disk,
            Kind.CLOCK_STEP: self._step_clock,
        }
        self.injected: list[Injected] = []

    def possible(self) -> Sequence[Kind]:
        """The kinds that this machine allows."""
        missing = set()
        if self._stage.disk is None:
            missing.add(Kind.FULL_DISK)
        if self._stage.clock is None:
            missing.add(Kind.CLOCK_STEP)
        return [kind for kind in Kind if kind not in missing]

    def begin(self) -> None:
        """Start the clock of the run."""
        self._started = time.monotonic()

    def inject(self, fault: Fault) -> None:
        """Inject a fault, and wait until everything concerned answers again."""
        at = time.monotonic() - self._started
        target, is_over = self._action(fault)
        ended = time.monotonic()
        recovery = self._wait(is_over, _RECOVERY_SECONDS)
        with self._lock:
            self.injected.append(
                Injected(fault.kind, at, target, None if recovery is None else recovery - ended)
            )

    def _action(self, fault: Fault) -> tuple[str, Condition]:
        return self._actions[fault.kind](fault)

    def _programs(self) -> dict[Kind, _Action]:
        """The actions against a program, by kind."""

        def kill(
            *names: str, is_well: Callable[[int], bool], number: signal.Signals = signal.SIGKILL
        ) -> _Action:
            return lambda fault: self._kill_program(names, fault, is_well, number)

        def stop(name: str) -> _Action:
            return lambda fault: self._stop_program(name, fault)

        return {
            Kind.KILL_API: kill("api", FORK_SERVER, is_well=self._is_ready),
            Kind.KILL_REACT: kill("react", is_well=lambda _pid: self._leads()),
            Kind.KILL_DAGSTER: kill("dagster", is_well=lambda _pid: True),
            Kind.KILL_REDIS: kill("Valkey", is_well=lambda _pid: self._has_snapshots()),
            Kind.RESTART_REDIS: kill(
                "Valkey", is_well=lambda _pid: self._has_snapshots(), number=signal.SIGTERM
            ),
            Kind.STOP_API: stop("api"),
            Kind.STOP_REACT: stop("react"),
            Kind.STOP_REDIS: stop("Valkey"),
        }

    # Targets

    def _pick(self, found: Callable[[], Sequence[tuple[str, int]]], turn: float) -> tuple[str, int]:
        """One of the processes that run, or the first that runs again."""
        chosen: list[tuple[str, int]] = []

        def choose() -> bool:
            running = sorted(found())
            if running:
                chosen.append(running[min(int(turn * len(running)), len(running) - 1)])
            return bool(chosen)

        if self._wait(choose, _TARGET_SECONDS) is None:
            return "", 0
        return chosen[0]

    def _program(self, names: Sequence[str], turn: float) -> tuple[str, int]:
        return self._pick(lambda: list(self._stage.pids(*names).items()), turn)

    def _backend(self, turn: float) -> tuple[str, int]:
        def found() -> Sequence[tuple[str, int]]:
            try:
                with self._engine.connect() as connection:
                    return [("backend", pid) for pid in sql.backends(connection, OWN)]
            except SQLAlchemyError:
                return ()

        return self._pick(found, turn)

    # Kills

    def _kill_program(
        self,
        names: Sequence[str],
        fault: Fault,
        is_well: Callable[[int], bool],
        number: signal.Signals,
    ) -> tuple[str, Condition]:
        target, pid = self._program(names, fault.turn)
        if not self._signal(pid, number):
            return "", lambda: True

        def is_over() -> bool:
            now = self._stage.pids(target).get(target)
            return now is not None and now != pid and is_well(now)

        return target, is_over

    def _end_postgres(self, fault: Fault, number: signal.Signals) -> tuple[str, Condition]:
        target, pid = self._program(["PostgreSQL"], fault.turn)
        is_lost = self._watch_connection()
        self._signal(pid, number)
        return target, self._after_loss(is_lost)

    def _kill_backend(self, fault: Fault) -> tuple[str, Condition]:
        is_lost = self._watch_connection()
        target, pid = self._backend(fault.turn)
        # A session may end by itself before it is killed.
        while pid and not self._signal(pid, signal.SIGKILL):
            target, pid = self._backend(fault.turn)
        return target, self._after_loss(is_lost)

    def _watch_connection(self) -> Condition:
        """Whether PostgreSQL has ended the sessions that it had now."""
        try:
            connection = psycopg.connect(
                self._stage.postgres.url("sorafeed"),
                autocommit=True,
                connect_timeout=5,
                application_name=OWN,
            )
        except psycopg.Error:
            return lambda: True

        def is_lost() -> bool:
            try:
                connection.execute("SELECT")
            except psycopg.Error:
                connection.close()
                return True
            return False

        return is_lost

    def _after_loss(self, is_lost: Condition) -> Condition:
        """A play is acknowledged after PostgreSQL has ended its sessions."""
        lost_at: list[float] = []

        def is_over() -> bool:
            if not lost_at:
                if not is_lost():
                    return False
                lost_at.append(time.monotonic())
            return self._told.plays.last > lost_at[0]

        return is_over

    # Stops

    @contextmanager
    def _stopped(self, pid: int) -> Iterator[None]:
        self._stage.stopped.add(pid)
        self._signal(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(pid, signal.SIGCONT)
            self._stage.stopped.discard(pid)

    def _stop_program(self, name: str, fault: Fault) -> tuple[str, Condition]:
        target, pid = self._program([name], fault.turn)
        with self._stopped(pid):
            self._stop.wait(fault.seconds)
        return target, self._plays_again()

    def _stop_backend(self, fault: Fault) -> tuple[str, Condition]:
        _, pid = self._backend(fault.turn)
        with self._stopped(pid):
            self._stop.wait(fault.seconds)
        return f"backend {pid}", self._plays_again()

    # Servers

    def _flush_redis(self) -> tuple[str, Condition]:
        with suppress(RedisError):
            self._redis.flushall()
        return "Redis", self._has_snapshots

    def _take_dagster_away(self, fault: Fault) -> tuple[str, Condition]:
        with self._exclusive[fault.kind]:
            try:
                self._allow_dagster(allowed=False)
                self._stop.wait(fault.seconds)
            finally:
                self._wait(lambda: self._allow_dagster(allowed=True), _RECOVERY_SECONDS)
        since = datetime.now(UTC)
        return "Dagster's database", lambda: self._has_recorded(since)

    def _allow_dagster(self, *, allowed: bool) -> bool:
        try:
            sql.allow_connections(self._stage.postgres.url("postgres"), "dagster", allowed=allowed)
        except psycopg.Error:
            return False
        return True

    def _fill_disk(self, fault: Fault) -> tuple[str, Condition]:
        disk = self._stage.disk
        if disk is None:
            return "", lambda: True
        filler = disk / "filler"
        with self._exclusive[fault.kind]:
            try:
                _fill(filler, self._stop, fault.seconds)
            finally:
                filler.unlink(missing_ok=True)
        return "PostgreSQL's disk", self._plays_again()

    def _step_clock(self, fault: Fault) -> tuple[str, Condition]:
        clock = self._stage.clock
        if clock is None:
            return "", lambda: True
        step = _STEPS[int(fault.turn * len(_STEPS)) % len(_STEPS)]
        with self._exclusive[fault.kind]:
            clock.write_text(step)
            self._stop.wait(3.0)
            clock.write_text("+0")
        return f"{step} s", self._plays_again()

    # Conditions

    def _plays_again(self) -> Condition:
        now = time.monotonic()
        return lambda: self._told.plays.last > now and self._told.reads.last > now

    def _is_ready(self, pid: int) -> bool:
        return pid in self._stage.pids("api", FORK_SERVER, ready=True).values()

    def _leads(self) -> bool:
        try:
            with self._engine.connect() as connection:
                return leader(connection) in self._stage.pids("react").values()
        except SQLAlchemyError:
            return False

    def _has_snapshots(self) -> bool:
        try:
            return len(matching_keys(self._redis, TIMELINE_KEYS)) >= self._displays
        except RedisError:
            return False

    def _has_recorded(self, since: datetime) -> bool:
        try:
            with self._engine.connect() as connection:
                return sql.has_recorded_since(connection, since)
        except SQLAlchemyError:
            return False

    # Waiting

    def _wait(self, is_so: Condition, seconds: float) -> float | None:
        """Poll until it is so; when that was, in monotonic seconds, None if it is not in time."""
        deadline = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > deadline:
                return None
            time.sleep(_LOOK_SECONDS)
        return time.monotonic()

    @staticmethod
    def _signal(pid: int, number: signal.Signals) -> bool:
        """Send a signal; False when there is no such process."""
        if not pid:
            return False
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return False
        return True


def _fill(filler: Path, stop: Event, seconds: float) -> None:
    """Keep a file system full for so long."""
    deadline = time.monotonic() + seconds
    with filler.open("ab", buffering=0) as file:
        while time.monotonic() < deadline and not stop.is_set():
            try:
                while file.write(bytes(_BLOCK)):
                    pass
            except OSError:
                stop.wait(_LOOK_SECONDS)
