"""One pass of comparing: everything that is due today, within the budget.

Several processes may be asked to compare; one does, under a lease. An error of the old side ends
the pass; what was compared before is stored.
"""

import os
import socket
import time
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Final
from uuid import uuid4

from sqlalchemy import Engine

from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.errors import BusyError, SetupError
from sorafeed_assets.domain.shadow.outcome import Finding, Outcome, not_compared
from sorafeed_assets.services.shadow import walls
from sorafeed_assets.services.shadow.budget import Budget, PassOverError, StoppedError
from sorafeed_assets.services.shadow.counts import compare_count, terms
from sorafeed_assets.services.shadow.timelines import compare_timeline, safe_moment
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.legacy.old_catalog import old_catalog
from sorafeed_assets.storage.lineage_records import (
    WHOLE,
    Change,
    end_lease,
    hold_asset,
    renew_lease,
    write_changes,
)
from sorafeed_assets.storage.shadow import comparisons as stored
from sorafeed_assets.storage.shadow.comparisons import Compared
from sorafeed_assets.storage.shadow.old_way import OldWay

COUNTS_ASSET: Final = "shadow_counts"
TIMELINES_ASSET: Final = "shadow_timelines"
KINDS: Final = {
    COUNTS_ASSET: (stored.COUNT,),
    TIMELINES_ASSET: (stored.TIMELINE, stored.QUEUE, stored.PLAYS, stored.PAGE),
}
_LEASE: Final = "shadow"
_LEASE_LIFE: Final = timedelta(minutes=2)
_BEAT_SECONDS: Final = 30.0
# Results are stored together, so that Dagster gets one event for them.
_STORE_SECONDS: Final = 30.0

Progress = Callable[[str, int, int], None]
Key = tuple[str, str, str]
"""Kind, subject and part of a comparison."""


@dataclass(frozen=True, slots=True)
class Shadow:
    """What a pass compares, and how much of the old database's time it may use.

    Attributes:
        engine: our database.
        catalog_url: the old catalogue.
        queues: the old queues; None when they are not known.
        pool_size: how many candidates a pool has.
        share: of the old database's time.
        statement_seconds: how long a statement may run there.
        keep_days: how long results are kept.
    """

    engine: Engine
    catalog_url: str
    queues: Path | None
    pool_size: int
    share: float
    statement_seconds: int
    keep_days: int


def shadow_of(engine: Engine, settings: Settings) -> Shadow:
    """What the settings name.

    Raises:
        SetupError: no old catalogue is named.
    """
    if settings.legacy_catalog_url is None:
        raise SetupError(
            "no old catalogue is named; set SORAFEED_LEGACY_CATALOG_URL to its PostgreSQL, and"
            " SORAFEED_LEGACY_QUEUES to its SQLite file to compare displays too"
        )
    return Shadow(
        engine,
        str(settings.legacy_catalog_url),
        settings.legacy_queues,
        settings.candidates_per_pool,
        settings.shadow_database_share,
        settings.shadow_statement_seconds,
        settings.shadow_keep_days,
    )


@dataclass(slots=True)
class Pass:
    """What a pass compared: how many had each outcome, and the old database's seconds."""

    outcomes: dict[Outcome, int] = field(default_factory=dict)
    old_seconds: float = 0.0

    def add(self, finding: Finding) -> None:
        """Count a comparison."""
        self.outcomes[finding.outcome] = self.outcomes.get(finding.outcome, 0) + 1


def compare_due(
    shadow: Shadow,
    stop: Event,
    on_progress: Progress = lambda *_: None,
    *,
    assets: Collection[str] = (COUNTS_ASSET, TIMELINES_ASSET),
    seconds: float | None = None,
) -> Pass:
    """Compare what is due today, until all is done, ``seconds`` are over, or ``stop`` is set.

    No statement begins on the old side after ``seconds``: a display whose plans are then half
    compared is stored as not compared, and comes last in the next pass.

    Raises:
        BusyError: another process compares.
        UnavailableError: the old side does not answer.
        SetupError: it cannot be read.
    """
    done = Pass()
    end = None if seconds is None else time.monotonic() + seconds
    limits = {
        "statement_timeout": f"{shadow.statement_seconds}s",
        "lock_timeout": "100ms",
        # One core of the old server at most.
        "max_parallel_workers_per_gather": "0",
    }
    with (
        _leading(shadow) as beat,
        old_catalog(shadow.catalog_url, limits) as old,
        suppress(StoppedError, PassOverError),
    ):
        budget = Budget(shadow.share, stop, beat, end)
        way = OldWay(old, datetime.now(UTC), budget.spend, budget.begin)
        with shadow.engine.begin() as connection:
            stored.prune(connection, shadow.keep_days)
        with (
            _storing(shadow.engine) as keep,
            # Also closed when it is not read to its end: it holds a copy of the file.
            closing(_due(shadow, way, assets, on_progress)) as comparisons,
        ):
            for found in comparisons:
                keep(found)
                done.add(found.finding)
                done.old_seconds = budget.spent
                beat()
                if stop.is_set() or budget.is_over:
                    break
    return done


def _due(
    shadow: Shadow, way: OldWay, assets: Collection[str], on_progress: Progress
) -> Generator[Compared, None, None]:
    """Compare everything that was not compared today, one after the other."""
    with shadow.engine.connect() as connection:
        done = stored.done_today(connection)
    if COUNTS_ASSET in assets:
        yield from _counts(shadow, way, done, on_progress)
    if TIMELINES_ASSET in assets and shadow.queues is not None:
        yield from _displays(shadow, shadow.queues, way, done, on_progress)


def _counts(
    shadow: Shadow, way: OldWay, done: Collection[Key], on_progress: Progress
) -> Iterator[Compared]:
    waiting = [
        (term, format_)
        for term in terms(shadow.engine)
        for format_ in Format
        if (stored.COUNT, term, format_.value) not in done
    ]
    for number, (term, format_) in enumerate(waiting):
        yield compare_count(shadow.engine, way, term, format_)
        on_progress("Comparing counts", number + 1, len(waiting))


def _displays(
    shadow: Shadow, path: Path, way: OldWay, done: Collection[Key], on_progress: Progress
) -> Iterator[Compared]:
    kinds = KINDS[TIMELINES_ASSET]
    with shadow.engine.connect() as connection:
        unfinished = stored.unfinished_displays(connection)
    with walls.old_displays(shadow.engine, path) as there:
        waiting = sorted(
            (
                display
                for display in there.wall.displays
                if any((kind, display, "") not in done for kind in kinds)
            ),
            # A display that needs all of a pass keeps no other one waiting day after day.
            key=lambda display: (display in unfinished, display),
        )
        for number, display in enumerate(waiting):
            due = {kind for kind in kinds if (kind, display, "") not in done}
            yield from _display(shadow, there, way, display, due)
            on_progress("Comparing displays", number + 1, len(waiting))


def _display(
    shadow: Shadow, there: walls.OldDisplays, way: OldWay, display_id: str, due: Collection[str]
) -> Iterator[Compared]:
    engine = shadow.engine
    yield from _queue_and_plays(engine, there, display_id, due)
    playlist = walls.same_playlist(engine, there, display_id)
    if playlist is None:
        return
    if isinstance(playlist, Finding):
        if stored.TIMELINE in due:
            yield Compared(stored.TIMELINE, display_id, playlist)
        return
    if stored.TIMELINE in due:
        until = safe_moment(engine)
        if until is None:
            finding = not_compared("the catalogue is not copied yet")
            yield Compared(stored.TIMELINE, display_id, finding)
        else:
            way.until = until
            yield compare_timeline(engine, way, display_id, playlist, shadow.pool_size)
    if stored.PAGE in due:
        with engine.connect() as connection:
            seconds = stored.count_seconds(connection)
        yield walls.compare_page(engine, display_id, playlist, seconds)


def _queue_and_plays(
    engine: Engine, there: walls.OldDisplays, display_id: str, due: Collection[str]
) -> Iterator[Compared]:
    """Both look at the plays of a display, which may be many: they are read once."""
    if stored.QUEUE in due or stored.PLAYS in due:
        plays = there.plays(display_id)
        if stored.QUEUE in due:
            yield walls.compare_queue(there, display_id, plays)
        if stored.PLAYS in due:
            yield walls.compare_plays(engine, there, display_id, plays)


@contextmanager
def _storing(engine: Engine) -> Iterator[Callable[[Compared], None]]:
    """Store what is given to the yielded function, some at a time, and the rest at the end."""
    waiting: list[Compared] = []
    began = time.monotonic()

    def keep(found: Compared) -> None:
        nonlocal began
        is_other = waiting and _asset_of(waiting[0]) != _asset_of(found)
        if is_other or time.monotonic() - began > _STORE_SECONDS:
            store()
        if not waiting:
            began = time.monotonic()
        waiting.append(found)

    def store() -> None:
        if waiting:
            _store(engine, _asset_of(waiting[0]), waiting)
            waiting.clear()

    try:
        yield keep
    finally:
        store()


def _asset_of(found: Compared) -> str:
    return next(name for name, kinds in KINDS.items() if found.kind in kinds)


def _store(engine: Engine, asset: str, found: Sequence[Compared]) -> None:
    """Store comparisons with one lineage record of their asset."""
    with engine.begin() as connection:
        hold_asset(connection, asset)
        stored.store(connection, found)
        figures = stored.todays_figures(connection, KINDS[asset])
        version = str(figures.pop("last"))
        metadata = {**figures, "dagster/row_count": figures["comparisons"]}
        write_changes(connection, [Change(asset, WHOLE, version, {}, metadata)])


@contextmanager
def _leading(shadow: Shadow) -> Iterator[Callable[[], None]]:
    """Hold the lease; yields a function that keeps it, to be called after each statement."""
    holder = f"{socket.gethostname()}/{os.getpid()}/{uuid4()}"
    # A process that is killed blocks no other one for much longer than a statement takes.
    longest = timedelta(seconds=shadow.statement_seconds / shadow.share)
    life = _LEASE_LIFE + 2 * longest
    kept_at = -_BEAT_SECONDS

    def beat() -> None:
        nonlocal kept_at
        if time.monotonic() - kept_at < _BEAT_SECONDS:
            return
        with shadow.engine.begin() as connection:
            if not renew_lease(connection, _LEASE, holder, life):
                raise BusyError(
                    "another process compares with the old system now; wait until it ends"
                )
        kept_at = time.monotonic()

    beat()
    try:
        yield beat
    finally:
        with shadow.engine.begin() as connection:
            end_lease(connection, _LEASE, holder)
