"""`sorafeed react`: settles what has changed, counts new terms, and records in Dagster.

Several may run. One leads: it holds a lease that it renews several times a second, so that another
takes over within a second of its end. Two that lead for a moment do no harm: displays are settled
under their locks, and records of an asset are given to Dagster by one transaction at a time.

What is done here is done by Dagster's sensors too, slower; see `defs.timelines.automation`.
"""

import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Event, Thread
from typing import Final

import dagster as dg
import psycopg
from sqlalchemy import Engine, make_url
from sqlalchemy.exc import SQLAlchemyError

from sorafeed_assets.definitions import build_definitions
from sorafeed_assets.defs.lineage.mend import mend
from sorafeed_assets.defs.recording import (
    FollowedDisplays,
    RecordedAsset,
    record_waiting,
    recorded_assets,
)
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.services.timelines.queues import low_displays, stale_displays
from sorafeed_assets.services.unsettled import uncached_displays
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.lineage_records import end_lease, renew_lease
from sorafeed_assets.storage.playlists.changes import CHANNEL

_LEASE: Final = "react"
_LEASE_LIFE: Final = timedelta(seconds=0.75)
_RENEW_SECONDS: Final = 0.2
_LOOK_SECONDS: Final = 1.0
_QUEUES_SECONDS: Final = 5.0
_MEND_SECONDS: Final = 60.0
# A display that cannot be planned is not tried again for the same reason before this.
_SAME_AGAIN_SECONDS: Final = 60.0
_LONGEST_PAUSE: Final = 30.0

_log: Final = logging.getLogger(__name__)


@dataclass(slots=True)
class _Tried:
    """When displays were settled for which reason; one that cannot be is not tried every time."""

    at: dict[tuple[str, str], float] = field(default_factory=dict)

    def due(self, reasons: dict[str, str]) -> list[str]:
        """The displays whose reason is new, or was not tried for a while."""
        now = time.monotonic()
        self.at = {key: at for key, at in self.at.items() if now - at < _SAME_AGAIN_SECONDS}
        due = [name for name, reason in reasons.items() if (name, reason) not in self.at]
        self.at.update({(name, reasons[name]): now for name in due})
        return due


def log_plainly() -> None:
    """Log to standard error, a line each, with the time in UTC."""
    formatter = logging.Formatter("%(asctime)sZ %(levelname)s %(message)s")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    ours = logging.getLogger("sorafeed_assets")
    ours.addHandler(handler)
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
        self._holder = f"{socket.gethostname()}:{os.getpid()}"
        self._leads = Event()
        self._stop = Event()
        self._woken = Event()
        self._tried = _Tried()
        self._followed = FollowedDisplays()

    @property
    def is_leading(self) -> bool:
        """Whether this process does the work now."""
        return self._leads.is_set()

    def stop(self) -> None:
        """End `run` soon."""
        self._stop.set()
        self._woken.set()

    def run(self) -> None:
        """React until `stop` is called; an error of one round is logged, and the next begins."""
        threads = [
            Thread(target=self._repeat, args=(name, work, every), name=name, daemon=True)
            for name, work, every in (
                ("lease", self._renew, _RENEW_SECONDS),
                ("listen", self._listen, 0.0),
                ("settle", self._settle, 0.0),
                ("queues", self._look_at_queues, _QUEUES_SECONDS),
                ("count", self._count, _LOOK_SECONDS),
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
                end_lease(connection, _LEASE, self._holder)
        except SQLAlchemyError as error:
            _log.warning("the lease expires by itself: %s", error)
        self._connections.close()

    def _repeat(self, name: str, work: Callable[[], None], every: float) -> None:
        failures = 0
        while not self._stop.is_set():
            try:
                work()
            except Exception:  # noqa: BLE001  # whatever it is, this work has to go on
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
                leads = renew_lease(connection, _LEASE, self._holder, _LEASE_LIFE)
        except BaseException:
            self._leads.clear()
            raise
        if leads and not self.is_leading:
            _log.info("this process leads now")
            self._woken.set()
        if leads:
            self._leads.set()
        else:
            self._leads.clear()

    def _listen(self) -> None:
        """Wake the settling when a change is committed; a proxy may never tell of one."""
        url = make_url(str(self._connections.settings.database_url)).set(drivername="postgresql")
        with psycopg.connect(
            url.render_as_string(hide_password=False), autocommit=True, connect_timeout=5
        ) as connection:
            connection.execute(f"LISTEN {CHANNEL}")
            while not self._stop.is_set():
                for _ in connection.notifies(timeout=_LOOK_SECONDS, stop_after=1):
                    self._woken.set()
                # A lost connection is noticed here, not by silence.
                connection.execute("SELECT")

    def _settle(self) -> None:
        self._woken.wait(_LOOK_SECONDS)
        self._woken.clear()
        if self.is_leading:
            while self._connections.settler.settle_changed() and not self._stop.is_set():
                pass
            self._connections.settler.retry_unwritten()

    def _look_at_queues(self) -> None:
        if not self.is_leading:
            return
        engine, low = self._engine, self._connections.settings.low_queue
        reasons = {
            **uncached_displays(engine),
            **dict.fromkeys(low_displays(engine, low=low), "low"),
            **stale_displays(engine),
        }
        due = self._tried.due(reasons)
        if due:
            self._connections.settler.settle(due)

    def _count(self) -> None:
        if self.is_leading:
            self._connections.settler.count_waiting_terms()

    def _record(self) -> None:
        if self.is_leading:
            record_waiting(self._connections, self._instance, self._assets, self._followed)

    def _mend(self) -> None:
        while not self.is_leading:
            if self._stop.wait(_RENEW_SECONDS):
                return
        mended = mend(self._connections, self._instance, self._assets)
        if mended:
            _log.warning("mended what was not recorded: %s", ", ".join(sorted(mended)))

    @property
    def _engine(self) -> Engine:
        return self._connections.engine
