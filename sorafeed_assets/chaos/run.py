"""A run: the wall plays and is edited, faults come by plan, then everything is checked."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Final

from sqlalchemy import Engine

from sorafeed_assets.chaos import checks, writers
from sorafeed_assets.chaos.faults import Faults
from sorafeed_assets.chaos.http_client import INTERNAL, PATIENCE
from sorafeed_assets.chaos.observing import Answering, Waits
from sorafeed_assets.chaos.outcome import Figure, Outcome, attempts, recoveries, share
from sorafeed_assets.chaos.plan import KILLS, Fault, Kind, make_plan
from sorafeed_assets.chaos.players import Told, play
from sorafeed_assets.chaos.stage import API_PROCESSES, OWN, REACTS, Stage, open_stage
from sorafeed_assets.chaos.writers import Written
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.domain.errors import SetupError, UnavailableError
from sorafeed_assets.launch.dagster_instance import open_instance
from sorafeed_assets.launch.up import Stop
from sorafeed_assets.services.tokens import Role, create_token
from sorafeed_assets.storage.postgres.engine import create_database_engine

Progress = Callable[[str, int, int], None]

_THREADS: Final = 64
_SETTLE_SECONDS: Final = 3.0
LONGEST_READ: Final = 1.0
"""Seconds within which a read is answered while an API process is there."""
PLAYERS_READ: Final = "sorafeed api read"
SCANNER: Final = "sorafeed chaos scanner"


@dataclass(frozen=True, slots=True)
class Scale:
    """The size of a run.

    Attributes:
        minutes: how long faults come.
        kills: how many processes are killed.
        seed: chooses the faults, edits and posts.
        displays: how many players play.
        posts: of the demo catalogue.
        video_seconds: how long a video is, on average.
    """

    minutes: float
    kills: int
    seed: int = 1
    displays: int = 100
    posts: int = 20_000
    video_seconds: float = 2.0


def run(folder: Path, scale: Scale, progress: Progress, stop: Stop) -> Outcome:
    """Run on a folder that the caller owns, and that is emptied.

    Raises:
        SetupError: a server or a program does not start, or keeps failing.
    """
    with open_stage(folder, scale.displays, scale.posts, stop) as stage:
        return Run(stage, scale, progress, stop).outcome()


class Run:
    """One run on servers that are started.

    Args:
        stage: what runs.
        scale: the size.
        progress: called with (step, done, total).
        stop: ends the run early.
    """

    def __init__(self, stage: Stage, scale: Scale, progress: Progress, stop: Stop) -> None:
        self._stage = stage
        self._scale = scale
        self._progress = progress
        self._interrupted = stop
        self._ended = Event()
        self._told = Told()
        self._written = Written()
        self._answering = Answering()
        self._work: list[Future[None]] = []

    def outcome(self) -> Outcome:
        """Run, wait until everything is quiet, and check."""
        connections = Connections(self._stage.settings)
        with ExitStack() as stack:
            stack.callback(connections.close)
            engine = stack.enter_context(self._engine(OWN))
            scanner = stack.enter_context(self._engine(SCANNER))
            displays = connections.settler.all_displays()
            waits = Waits(engine)
            faults = Faults(
                self._stage, engine, connections.redis, self._told, len(displays), self._ended
            )
            plan = make_plan(
                self._scale.minutes * 60, self._scale.kills, self._scale.seed, faults.possible()
            )
            started = time.monotonic()
            with self._writing(scanner, displays), _thread(waits.observe, self._ended):
                self._inject(faults, plan)
            seconds = time.monotonic() - started
            quiet = checks.wait_until_quiet(connections, lambda: _is_cached(connections, displays))
            self._must_run()
            with open_instance(self._stage.settings) as instance:
                invariants = checks.check_all(
                    connections, instance, displays, self._told, self._written
                )
            return Outcome(
                self._figures(seconds, quiet, faults, waits),
                invariants,
                recoveries(faults.injected),
                [str(kind) for kind in Kind if kind not in faults.possible()],
            )

    @contextmanager
    def _engine(self, application: str) -> Iterator[Engine]:
        settings = self._stage.settings
        engine = create_database_engine(
            str(settings.database_url), settings, application=application
        )
        try:
            yield engine
        finally:
            engine.dispose()

    def _must_run(self) -> None:
        if self._stage.ended is not None:
            raise SetupError(self._stage.ended)
        for each in self._work:
            if each.done():
                each.result()

    @contextmanager
    def _writing(self, engine: Engine, displays: Sequence[str]) -> Iterator[None]:
        """Players, editors and a scanner, for as long as the block lasts."""
        tokens = {
            name: create_token(engine, Role.DISPLAY, "chaos", display_id=name)[1]
            for name in displays
        }
        admin = create_token(engine, Role.ADMIN, "chaos")[1]
        seed, port = self._scale.seed, self._stage.port

        async def talk() -> None:
            ended = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                group.create_task(
                    play(
                        port,
                        tokens,
                        self._told,
                        ended,
                        seconds=self._scale.video_seconds,
                        seed=seed,
                    )
                )
                group.create_task(writers.edit(port, admin, displays, self._written, ended, seed))
                await asyncio.to_thread(self._ended.wait)
                ended.set()

        answering = _thread(self._answering.observe, self._stage, self._ended)
        with ThreadPoolExecutor(4) as pool, answering:
            self._work = [
                pool.submit(asyncio.run, talk()),
                pool.submit(
                    writers.edit_by_sql, engine, displays, self._written, self._ended, seed
                ),
                pool.submit(writers.scan, engine, self._written, self._ended, seed),
            ]
            try:
                yield
                # The last faults are over; what waits is told now.
                self._interrupted.wait(_SETTLE_SECONDS)
            finally:
                self._ended.set()
            for each in self._work:
                each.result()

    def _inject(self, faults: Faults, plan: Sequence[Fault]) -> None:
        faults.begin()
        started = time.monotonic()
        injected: list[Future[None]] = []
        with ThreadPoolExecutor(_THREADS, "faults") as pool:
            for number, fault in enumerate(plan):
                while (wait := started + fault.at - time.monotonic()) > 0:
                    if self._interrupted.wait(min(wait, 0.2)):
                        self._ended.set()
                        break
                    self._must_run()
                if self._interrupted.is_set():
                    break
                injected.append(pool.submit(faults.inject, fault))
                self._progress("Injecting faults", number + 1, len(plan))
            for number, each in enumerate(injected):
                each.result()
                self._progress("Waiting until all is back", number + 1, len(injected))

    def _figures(
        self, seconds: float, quiet: float | None, faults: Faults, waits: Waits
    ) -> list[Figure]:
        reads, plays, edits = self._told.reads, self._told.plays, self._written.edits
        found = [each.kind for each in faults.injected if each.target]
        kills = sum(kind in KILLS for kind in found)
        each_killed = {
            fault.target
            for fault in faults.injected
            if fault.target and fault.kind in (Kind.KILL_API, Kind.KILL_REACT)
        }
        longest = self._answering.longest(reads.slow, with_hanging=False)
        hanging = self._answering.longest(reads.slow, with_hanging=True)
        internal = sum(each.statuses[INTERNAL] for each in (reads, plays, edits))
        long = waits.long(PLAYERS_READ, SCANNER)
        in_time = f"answered within {PATIENCE:.0f} s"
        return [
            Figure("time with faults", f"{seconds / 60:.1f} min"),
            Figure("processes killed", f"{kills:,}"),
            # The API's have another one, which forks them.
            Figure(
                "processes of API and react killed at least once",
                f"{len(each_killed)} of {API_PROCESSES + 1 + REACTS}",
            ),
            Figure("other faults", f"{len(found) - kills:,}"),
            Figure("plays acknowledged", f"{len(self._told.acknowledged):,}"),
            Figure("plays refused after an edit", f"{len(self._told.refused):,}"),
            Figure("edits through the API", f"{edits.calls_answered:,}"),
            Figure("edits by SQL", f"{self._written.sql:,}"),
            Figure("posts inserted", f"{len(self._written.posts):,}"),
            share(f"reads of players {in_time}", reads, target=True),
            share(f"plays of players {in_time}", plays, target=True),
            share(f"edits {in_time}", edits),
            attempts("single attempts to read", reads),
            attempts("single attempts to report plays", plays),
            Figure(
                "longest read while an API process was there",
                f"{longest:.2f} s",
                f"< {LONGEST_READ:.0f} s",
                longest < LONGEST_READ,
            ),
            Figure("the same, also while another process hung", f"{hanging:.2f} s"),
            Figure("longest read", f"{reads.longest:.2f} s"),
            Figure("longest call that reports plays", f"{plays.longest:.2f} s"),
            Figure("answers with status 500", f"{internal:,}", "0", internal == 0),
            Figure("statements that waited over 100 ms for a lock", f"{len(long):,}"),
            Figure(
                "quiet after the last fault",
                "not within 300 s" if quiet is None else f"{quiet:.1f} s",
            ),
        ]


def _is_cached(connections: Connections, displays: Sequence[str]) -> bool:
    try:
        return not checks.cached_rightly(connections, displays)
    except UnavailableError:
        return False


@contextmanager
def _thread(work: Callable[..., None], *arguments: object) -> Iterator[None]:
    """Run work in a thread, which ends by itself when the run does."""
    thread = Thread(target=work, args=arguments, daemon=True)
    thread.start()
    yield
