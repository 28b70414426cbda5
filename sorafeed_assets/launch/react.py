"""`sorafeed react`: settles what changed, applies posts, counts new terms, records in Dagster.

Several may run. One leads: it holds a lease that it renews several times a second, so that another
takes over within a second of its end. Two that lead for a moment do no harm: displays are settled
under their locks, and records of an asset are given to Dagster by one transaction at a time.

What is done here is done by Dagster's sensors too, slower; see `defs.timelines.automation`.
"""

import gc
import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Event, Thread
from typing import Final
from uuid import uuid4

import dagster as dg
import psycopg
from sqlalchemy import Engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from sorafeed_assets.defs.lineage.mend import mend
from sorafeed_assets.defs.merged import build_definitions
from sorafeed_assets.defs.recording import (
    FollowedDisplays,
    RecordedAsset,
    record_waiting,
    recorded_assets,
)
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.domain.batches import batched
from sorafeed_assets.domain.errors import SorafeedError
from sorafeed_assets.services.timelines.excluding import excluded_on
from sorafeed_assets.services.timelines.plan_ends import PlanEnds
from sorafeed_assets.services.timelines.queues import low_displays, stale_displays
from sorafeed_assets.services.unsettled import uncached_displays
from sorafeed_assets.services.watching import sample_figures
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.catalog.blocklist import is_waiting
from sorafeed_assets.storage.catalog.outbox import waiting_kinds
from sorafeed_assets.storage.counts.jobs import CHANNEL as JOBS_CHANNEL
from sorafeed_assets.storage.lineage_records import REACT_LEASE, end_lease, renew_lease
from sorafeed_assets.storage.playlists.changes import CHANNEL
from sorafeed_assets.storage.playlists.timetables import note_due, seconds_to_next
from sorafeed_assets.storage.reactions import drop_old
from sorafeed_assets.storage.rollouts.players import drop_old_of_players

_LEASE_LIFE: Final = timedelta(seconds=0.75)
_RENEW_SECONDS: Final = 0.2
_LOOK_SECONDS: Final = 1.0
# Changes that arrive within this time are settled together.
_GATHER_SECONDS: Final = 0.005
# Posts send no NOTIFY, which would make commits wait for each other: react polls for them.
_POSTS_SECONDS: Final = 0.1
# New posts only increase counts, so they are batched. Edits and deletes are applied at once.
_NEW_POSTS_SECONDS: Final = 1.0
_OVERVIEW_SECONDS: Final = 30.0
_QUEUES_SECONDS: Final = 5.0
# A play waits for at most this many displays, each of which takes some 20 ms.
_PLANNED_AT_ONCE: Final = 8
_MEND_SECONDS: Final = 60.0
# A sample a minute; one that is there already is kept.
_SAMPLE_SECONDS: Final = 20.0
# A display that cannot be planned is not tried again for the same reason before this.
_SAME_AGAIN_SECONDS: Final = 60.0
_LONGEST_PAUSE: Final = 30.0
# How long a busy thread may hold the GIL: settling takes it back after each statement.
_SWITCH_SECONDS: Final = 0.0005
# Planning a display allocates thousands of short-lived objects, which need no collection.
_OBJECTS_BEFORE_COLLECTION: Final = 20_000

_log: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class _Tried:
    """When displays were settled for which reason, so that failures are not retried at once."""

    at: dict[tuple[str, str], float] = field(default_factory=dict)

    def due(self, reasons: dict[str, str]) -> list[str]:
        """The displays whose reason is new, or was not tried for a while."""
        now = time.monotonic()
        self.at = {key: at for key, at in self.at.items() if now - at < _SAME_AGAIN_SECONDS}
        due = [name for name, reason in reasons.items() if (name, reason) not in self.at]
        self.at.update({(name, reasons[name]): now for name in due})
        return due


def tune_interpreter() -> None:
    """Have garbage collections and other threads delay settling less; for a whole process.

    Call it once everything is loaded.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTION)
    # Objects loaded so far are permanent, so garbage collections need not scan them.
    gc.collect()
    gc.freeze()


def log_plainly() -> None:
    """Log to standard error, a line each, with the time in UTC."""
    formatter = logging.Formatter("%(asctime)sZ %(levelname)s %(message)s")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    ours = logging.getLogger("sorafeed_assets")
    ours.addHandler(handler)
    # Dagster may give the root logger a handler of its own.
    ours.propagate = False
    ours.setLevel(logging.INFO)


class React:
    """One process that reacts to changes.

    Args:
        settings: where the servers are.
        instance: the Dagster instance that records are given to.
    """

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self._connections = Connections(settings)
        self._instance = instance
        self._assets: list[RecordedAsset] = recorded_assets(
            build_definitions(settings, self._connections).resolve_asset_graph()
        )
        # Containers in the network of one host have its name, and often the same process id.
        self._holder = f"{socket.gethostname()}:{os.getpid()}:{uuid4()}"
        self._leads = Event()
        self._stop = Event()
        self._woken = Event()
        self._jobs_came = Event()
        # Totals and their cache may lack what was counted, as a process may end in between: how
        # often that was to be looked at, and was.
        self._catch_ups_due = 1
        self._catch_ups_done = 0
        self._has_compared = False
        self._applied_at = 0.0
        self._overview_at = 0.0
        self._overview_is_old = False
        self._tried = _Tried()
        self._followed = FollowedDisplays()
        window = self._connections.settings.window
        self._plan_ends = PlanEnds(self._connections.engine, window=window)
        self._ending = _Tried()

    @property
    def is_leading(self) -> bool:
        """Whether this process does the work now."""
        return self._leads.is_set()

    @property
    def is_caught_up(self) -> bool:
        """Whether what an earlier process left unfinished is done: lineage, totals, their cache."""
        return self._has_compared and self._catch_ups_done == self._catch_ups_due

    def stop(self) -> None:
        """End `run` soon."""
        self._stop.set()
        self._woken.set()
        self._jobs_came.set()

    def run(self) -> None:
        """React until `stop` is called; an error of one round is logged, and the next begins."""
        threads = [
            Thread(target=self._repeat, args=(name, work, every), name=name, daemon=True)
            for name, work, every in (
                ("lease", self._renew, _RENEW_SECONDS),
                ("listen", self._listen, 0.0),
                ("settle", self._settle, 0.0),
                ("clock", self._switch_by_clock, 0.0),
                ("queues", self._look_at_queues, _QUEUES_SECONDS),
                ("prefetch", self._plan_ahead, _LOOK_SECONDS),
                ("count", self._count, 0.0),
                ("posts", self._apply_posts, _POSTS_SECONDS),
                ("rollouts", self._evaluate_rollouts, _LOOK_SECONDS),
                ("figures", self._sample_figures, _SAMPLE_SECONDS),
                ("record", self._record, _LOOK_SECONDS),
                ("mend", self._mend, _MEND_SECONDS),
            )
        ]
        for thread in threads:
            thread.start()
        self._stop.wait()
        for thread in threads:
            thread.join(timeout=10.0)
        try:
            with self._connections.engine.begin() as connection:
                end_lease(connection, REACT_LEASE, self._holder)
        except SQLAlchemyError as error:
            _log.warning("the lease expires by itself: %s", error)
        self._connections.close()

    def _repeat(self, name: str, work: Callable[[], None], every: float) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                work()
            except Exception:  # noqa: BLE001  # whatever it is, this work has to continue
                failures += 1
                _log.exception("%s failed, %s times in a row", name, failures)
            else:
                failures = 0
            pause = min(2.0**failures * 0.25, _LONGEST_PAUSE) if failures else every
            if pause:
                self._stop.wait(pause)

    def _renew(self) -> None:
        try:
            with self._engine.begin() as connection:
                leads = renew_lease(connection, REACT_LEASE, self._holder, _LEASE_LIFE)
        except BaseException:
            self._leads.clear()
            raise
        if leads and not self.is_leading:
            _log.info("this process leads now")
            self._woken.set()
            self._jobs_came.set()
        if leads:
            self._leads.set()
        else:
            self._leads.clear()

    def _listen(self) -> None:
        """Wake settling and counting when a change is committed; a proxy may drop notifications."""
        url = make_url(str(self._connections.settings.database_url)).set(drivername="postgresql")
        with psycopg.connect(
            url.render_as_string(hide_password=False),
            autocommit=True,
            connect_timeout=5,
            # Behind a pooler, the next statement may run in another session.
            prepare_threshold=None,
        ) as connection:
            woken = {CHANNEL: self._woken, JOBS_CHANNEL: self._jobs_came}
            for channel in woken:
                connection.execute(f"LISTEN {channel}")
            while not self._stop.is_set():
                for notice in connection.notifies(timeout=_LOOK_SECONDS, stop_after=1):
                    woken[notice.channel].set()
                # A lost connection is noticed here, not by silence.
                connection.execute("SELECT")

    def _settle(self) -> None:
        if self._woken.wait(_LOOK_SECONDS):
            self._stop.wait(_GATHER_SECONDS)
        self._woken.clear()
        if self.is_leading:
            while self._connections.settler.settle_changed() and not self._stop.is_set():
                pass
            self._connections.settler.retry_unwritten()

    def _switch_by_clock(self) -> None:
        """Have displays settled at the time of their switch, and wait for the next one."""
        pause = _LOOK_SECONDS
        if self.is_leading:
            with self._engine.begin() as connection:
                noted = note_due(connection)
                until_next = seconds_to_next(connection)
            if noted:
                self._woken.set()
            if until_next is not None:
                # A display that is being settled is due, but is not noted.
                pause = min(max(until_next, _GATHER_SECONDS), _LOOK_SECONDS)
        self._stop.wait(pause)

    def _look_at_queues(self) -> None:
        if not self.is_leading:
            return
        engine, low = self._engine, self._connections.settings.low_queue
        reasons = {
            **uncached_displays(engine),
            **dict.fromkeys(low_displays(engine, low=low), "low"),
            **stale_displays(engine),
            **excluded_on(engine),
        }
        due = self._tried.due(reasons)
        if due:
            self._connections.settler.settle(due)

    def _plan_ahead(self) -> None:
        """Plan the next loops of displays whose plan is about to end, in batches."""
        while self.is_leading and not self._stop.is_set():
            due = self._ending.due(self._plan_ends.ending())
            if not due:
                return
            for some in batched(due, _PLANNED_AT_ONCE):
                self._connections.settler.plan_ahead(some, self._plan_ends.reach)

    def _count(self) -> None:
        self._jobs_came.wait(_LOOK_SECONDS)
        self._jobs_came.clear()
        if self.is_leading:
            while self._connections.settler.count_waiting_terms() and not self._stop.is_set():
                pass

    def _apply_posts(self) -> None:
        """Apply new, edited, deleted and excluded posts; note the displays concerned."""
        if not self.is_leading:
            self._catch_ups_due = self._catch_ups_done + 1
            return
        with self._engine.connect() as connection:
            kinds = waiting_kinds(connection)
            is_excluding = is_waiting(connection)
        now = time.monotonic()
        is_late = now - self._applied_at >= _NEW_POSTS_SECONDS
        is_due = is_excluding or kinds - {"insert"} or (kinds and is_late)
        catch_ups = self._catch_ups_due
        catch_up = catch_ups != self._catch_ups_done
        if is_due or catch_up:
            self._applied_at, self._overview_is_old = now, True
            self._connections.settler.apply_posts(catch_up=catch_up)
            self._catch_ups_done = catch_ups
        if self._overview_is_old and now - self._overview_at >= _OVERVIEW_SECONDS:
            self._overview_at, self._overview_is_old = now, False
            self._connections.settler.cache_overview()

    def _evaluate_rollouts(self) -> None:
        """Evaluate each rollout every minute; an error of one does not keep the others waiting."""
        if not self.is_leading:
            return
        rollouts = self._connections.rollouts
        for name in rollouts.due():
            try:
                evaluation = rollouts.evaluate(name)
            except (SorafeedError, SQLAlchemyError) as error:
                # It is due at once again, because nothing of it is stored.
                _log.error("rollout %s is not evaluated: %s", name, error)
                continue
            if evaluation is not None and evaluation.after != evaluation.before:
                state = evaluation.after
                _log.warning("rollout %s is %s: %s", name, state.status, state.reason)

    def _sample_figures(self) -> None:
        if self.is_leading:
            sample_figures(self._engine, low=self._connections.settings.low_queue)

    def _record(self) -> None:
        if self.is_leading:
            record_waiting(self._connections, self._instance, self._assets, self._followed)

    def _mend(self) -> None:
        while not self.is_leading:
            if self._stop.wait(_RENEW_SECONDS):
                return
        with self._engine.begin() as connection:
            drop_old(connection)
            drop_old_of_players(connection)
        mended = mend(self._connections, self._instance, self._assets)
        self._catch_ups_due += 1
        self._has_compared = True
        if mended:
            _log.warning("recorded missing lineage of: %s", ", ".join(sorted(mended)))

    @property
    def _engine(self) -> Engine:
        return self._connections.engine
