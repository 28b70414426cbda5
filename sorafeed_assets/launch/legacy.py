"""`sorafeed legacy follow`: the old system is followed until it is stopped.

New posts are copied every second, the queues are imported when their file was written, and one part
of the catalogue at a time is compared, each once a day. The first import of the queues waits for
the first copy of the catalogue: nothing is planned of a part of it, or without its indexes.

Several may run. One leads: it holds a lease, and reads the old side; another one takes over some
seconds after its end. Two that lead for a moment do no harm: each pass begins at a stored cursor
that it locks.
"""

import logging
import os
import socket
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Final
from uuid import uuid4

from redis import Redis
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from sorafeed_assets.domain.errors import SorafeedError
from sorafeed_assets.services.legacy.catalog import check_readable
from sorafeed_assets.services.legacy.follow import (
    compare_due,
    continue_copy,
    copy_new_posts,
    import_changed_queues,
    is_copied,
)
from sorafeed_assets.services.settle import Settler
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.legacy.old_catalog import old_catalog
from sorafeed_assets.storage.lineage_records import end_lease, renew_lease
from sorafeed_assets.storage.postgres.retry import is_conflict, is_lost

_POSTS_SECONDS: Final = 1.0
_QUEUES_SECONDS: Final = 5.0
_COMPARE_SECONDS: Final = 10.0
_LONGEST_PAUSE: Final = 30.0
_SECONDS_A_LINE: Final = 10.0
LEASE: Final = "legacy"
_LEASE_LIFE: Final = timedelta(seconds=10)
_RENEW_SECONDS: Final = 2.0

_log: Final = logging.getLogger(__name__)


class Follow:
    """Follows the sides of the old system that the settings name."""

    def __init__(self, settings: Settings, engine: Engine, redis: Redis) -> None:
        self._engine = engine
        self._settler = Settler.of(engine, redis, settings)
        self._url = (
            None if settings.legacy_catalog_url is None else str(settings.legacy_catalog_url)
        )
        self._path = settings.legacy_queues
        self._stop = Event()
        self._leads = Event()
        self._copied = Event()
        self._said_at = time.monotonic()
        self._holder = f"{socket.gethostname()}/{os.getpid()}/{uuid4()}"
        self._failure: BaseException | None = None

    def stop(self) -> None:
        """End `run` soon."""
        self._stop.set()

    def run(self) -> None:
        """Follow until `stop` is called; an error that may pass is logged and retried.

        Raises:
            Exception: any other error ends all of it.
        """
        works: list[Callable[[], None]] = [self._keep_lease]
        if self._url is not None:
            works += [partial(self._copy, self._url), partial(self._compare, self._url)]
        if self._path is not None:
            works.append(partial(self._import, self._path))
        threads = [Thread(target=self._repeat, args=(work,), daemon=True) for work in works]
        for thread in threads:
            thread.start()
        self._stop.wait()
        for thread in threads:
            thread.join(timeout=30.0)
        if self._failure is not None:
            raise self._failure
        try:
            with self._engine.begin() as connection:
                end_lease(connection, LEASE, self._holder)
        except SQLAlchemyError as error:
            _log.warning("the lease expires by itself: %s", error)

    def _repeat(self, work: Callable[[], None]) -> None:
        failures = 0
        while not self._stop.is_set():
            began = time.monotonic()
            try:
                work()
            except BaseException as error:
                if not _may_pass(error):
                    self._failure = error
                    self._stop.set()
                    raise
                failures = 1 if time.monotonic() - began > _LONGEST_PAUSE else failures + 1
                _log.warning("%s; trying again", error)
            self._stop.wait(min(2.0**failures, _LONGEST_PAUSE))

    @property
    def is_leading(self) -> bool:
        """Whether this process reads the old side."""
        return self._leads.is_set() and not self._stop.is_set()

    def _keep_lease(self) -> None:
        is_told = False
        try:
            while not self._stop.is_set():
                with self._engine.begin() as connection:
                    leads = renew_lease(connection, LEASE, self._holder, _LEASE_LIFE)
                if leads and not self._leads.is_set():
                    _log.info("this process leads now")
                    self._leads.set()
                elif not leads:
                    if self._leads.is_set() or not is_told:
                        _log.info("another process follows; this one waits, to take over from it")
                    self._leads.clear()
                is_told = True
                self._stop.wait(_RENEW_SECONDS)
        finally:
            self._leads.clear()

    def _copy(self, url: str) -> None:
        if not self.is_leading:
            return
        with old_catalog(url) as old:
            check_readable(old)
            copy = continue_copy
            while self.is_leading:
                copied = copy(self._engine, old, self._say)
                copy = copy_new_posts
                self._copied.set()
                if copied.posts or copied.creators:
                    _log.info("copied %s posts, %s creators", copied.posts, copied.creators)
                self._stop.wait(_POSTS_SECONDS)

    def _say(self, step: str, done: int, total: int) -> None:
        """Log how far a long copy is, now and then."""
        now = time.monotonic()
        if now - self._said_at >= _SECONDS_A_LINE:
            self._said_at = now
            _log.info("%s: %s of %s", step, f"{done:,}", f"{total:,}")

    def _compare(self, url: str) -> None:
        """Compare one part after the other, each once a day."""
        if not self.is_leading:
            return
        with old_catalog(url) as old:
            check_readable(old)
            while self.is_leading:
                found = compare_due(self._engine, old)
                if found is None:
                    self._stop.wait(_COMPARE_SECONDS)
                elif found.repaired:
                    _log.warning(
                        "%s: %s rows were missing and %s differed; copied again",
                        found.part,
                        found.missing,
                        found.changed,
                    )

    def _import(self, path: Path) -> None:
        if not self.is_leading:
            return
        if self._url is None or is_copied(self._engine):
            self._copied.set()
        while self.is_leading:
            if not self._copied.is_set():
                self._stop.wait(_POSTS_SECONDS)
                continue
            # Posts of queues are taken by `import`, when the catalogue is copied.
            done = import_changed_queues(self._engine, self._settler, path, with_posts=False)
            if done is not None and any(done.written.values()):
                counts = (f"{count} {what}" for what, count in done.written.items() if count)
                _log.info("imported %s", ", ".join(counts))
            self._stop.wait(_QUEUES_SECONDS)


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, SQLAlchemyError):
        return is_lost(error) or is_conflict(error)
    return isinstance(error, SorafeedError)
