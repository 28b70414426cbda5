"""The one way of a change: from what is stored upstream to what players read.

`Settler.settle` activates, plans, publishes, tracks terms, writes snapshots, notifies servers and
records. The API, the commands, `sorafeed react` and the runs of Dagster's assets call it; nothing
else does any of these. It acquires the locks of its displays in one order and has no way around
them.

The change itself (a playlist, a block, a name) is written before, by `services.commands`
or by plain SQL. Triggers note the displays in `display_changes`, so that they are settled even
if the caller ends at once.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from opentelemetry import trace
from redis import Redis
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from sorafeed_assets.domain.batches import batched
from sorafeed_assets.domain.errors import (
    CountsAuditError,
    NotFoundError,
    SorafeedError,
    UnavailableError,
)
from sorafeed_assets.domain.text import few
from sorafeed_assets.services.cache.played import PlayedSnapshots, Prepared, write_prepared
from sorafeed_assets.services.cache.write import (
    write_admin_snapshot,
    write_count_cache,
    write_timeline_cache,
)
from sorafeed_assets.services.counts.jobs import run_count_jobs
from sorafeed_assets.services.counts.refresh import refresh_days
from sorafeed_assets.services.counts.terms import TermsSync, follow_terms, sync_search_terms
from sorafeed_assets.services.counts.totals import audit_totals, refresh_totals
from sorafeed_assets.services.playlists.activation import activate
from sorafeed_assets.services.timelines.driving import left_to_old
from sorafeed_assets.services.timelines.rebuild import BuildOutcome, renew_timelines
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.services.unwritten import Unwritten
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.cache.redis import (
    DISPLAYS_TAG,
    TERMS_TAG,
    display_tag,
    redis_errors,
    tell,
)
from sorafeed_assets.storage.lineage_records import forget_partitions
from sorafeed_assets.storage.playlists.changes import begin_settling, end_settling, next_displays
from sorafeed_assets.storage.playlists.rows import display_ids as existing_displays
from sorafeed_assets.storage.playlists.rows import lock_displays
from sorafeed_assets.storage.reactions import Reaction, add_reactions
from sorafeed_assets.storage.timelines.queues import load_plan_problems

PER_DISPLAY: Final = ("playlists", "active_playlists", "display_timelines", "timeline_cache")
"""The assets that are partitioned by display."""
_CHUNK: Final = 100
_AT_ONCE: Final = 1_000
# Displays with only new posts are planned in small batches: an edit or a play that arrives
# meanwhile waits for one batch at most.
_LESS_URGENT: Final = 25

_log: Final = logging.getLogger(__name__)
_tracer: Final = trace.get_tracer(__name__)


@dataclass(frozen=True, slots=True)
class Settled:
    """The result of settling displays; ``failed`` ones stay on their last good build.

    ``gone`` are displays that do not exist.
    """

    built: Mapping[str, BuildOutcome]
    failed: Mapping[str, SorafeedError]
    gone: tuple[str, ...] = ()
    terms_changed: bool = False

    @property
    def changed(self) -> list[str]:
        """The displays whose build or queue changed."""
        return sorted(name for name, outcome in self.built.items() if outcome.changed)


class Settler:
    """Settles displays on one database and one Redis; safe to share between threads.

    Args:
        engine: the database.
        redis: the snapshots, and the channel on which changes are published.
        timelines: the owner of the queues.
        ttl: life of a snapshot in seconds.
        pool_size: how many candidates are kept per term, shape and order.
        on_change: called with the tags of each change in this process, before the call returns.
    """

    def __init__(
        self,
        engine: Engine,
        redis: Redis,
        timelines: TimelineService,
        *,
        ttl: int,
        pool_size: int = 500,
        on_change: Callable[[Collection[str]], None] = lambda _tags: None,
    ) -> None:
        self._engine = engine
        self._redis = redis
        self._timelines = timelines
        self._ttl = ttl
        self._pool_size = pool_size
        self._on_change = on_change
        self._unwritten = Unwritten()
        self.played = PlayedSnapshots()

    @classmethod
    def of(
        cls,
        engine: Engine,
        redis: Redis,
        settings: Settings,
        on_change: Callable[[Collection[str]], None] = lambda _tags: None,
    ) -> "Settler":
        """Create a settler with the window, pools and snapshot lifetime of ``settings``."""
        pool_size = settings.candidates_per_pool
        return cls(
            engine,
            redis,
            TimelineService(engine, window=settings.window, candidates_per_pool=pool_size),
            ttl=settings.cache_ttl_seconds,
            pool_size=pool_size,
            on_change=on_change,
        )

    @_tracer.start_as_current_span("settle")
    def settle(self, display_ids: Collection[str], *tags: str) -> Settled:
        """Bring displays from what is stored to what players read.

        Servers are notified of displays and ``tags``. Without Redis the displays are settled in
        the database, and their snapshots are written when Redis answers again.
        """
        settled = self.publish(display_ids)
        self.snapshot(display_ids, *tags, *([TERMS_TAG] if settled.terms_changed else []))
        return settled

    def settle_changed(self) -> Settled | None:
        """Settle the next displays that wait in `display_changes`; None when none does.

        Urgent ones go first. Snapshots are written only for displays whose plan or queue changed.
        """
        with self._engine.connect() as connection:
            waiting, is_urgent = next_displays(connection, _AT_ONCE, _LESS_URGENT)
        if not waiting:
            return None
        if is_urgent:
            return self.settle(waiting, DISPLAYS_TAG)
        return self.settle_quietly(waiting)

    def activate(self, display_ids: Collection[str]) -> None:
        """Activate the right playlists, the first step of settling; the rest still waits."""
        for chunk in batched(sorted(set(display_ids)), _CHUNK):
            with self._engine.begin() as connection:
                lock_displays(connection, chunk)
                begin_settling(connection, chunk)
                activate(connection, chunk, left_to_old(connection))

    @_tracer.start_as_current_span("plan ahead")
    def plan_ahead(self, display_ids: Collection[str], ahead: int) -> Settled:
        """Settle displays, with plans that reach at least ``ahead`` picks."""
        return self.settle_quietly(display_ids, ahead)

    @_tracer.start_as_current_span("settle")
    def settle_quietly(
        self, display_ids: Collection[str], ahead: int = 0, *, renews: bool = False
    ) -> Settled:
        """Settle displays; writes snapshots and notifies only of changes. See `publish`."""
        settled = self.publish(display_ids, ahead=ahead, renews=renews)
        tags = [DISPLAYS_TAG] if settled.gone else []
        tags += [TERMS_TAG] if settled.terms_changed else []
        self.snapshot([*settled.changed, *settled.gone], *tags)
        return settled

    @_tracer.start_as_current_span("publish")
    def publish(
        self, display_ids: Collection[str], *, ahead: int = 0, renews: bool = False
    ) -> Settled:
        """Do the database part of settling: activate, plan, publish, track terms, record.

        Each batch of displays is one transaction; a display that cannot be planned stays on its
        last good build, and all others are settled. A plan that does not change is recorded only if
        it ``renews``: the candidates that it was made from.
        """
        trace.get_current_span().set_attribute("sorafeed.displays", len(display_ids))
        gone: set[str] = set()
        told: set[str] = set()
        reacted: dict[str, tuple[datetime, datetime]] = {}
        terms_changed = False

        @contextmanager
        def around(connection: Connection, chunk: Sequence[str]) -> Iterator[None]:
            nonlocal terms_changed
            seen = begin_settling(connection, chunk)
            problems = load_plan_problems(connection, chunk).items()
            found = activate(connection, chunk, left_to_old(connection))
            yield
            left = load_plan_problems(connection, chunk)
            told.update(name for name, _ in problems ^ left.items())
            if renews:
                renew_timelines(connection, set(chunk) - left.keys())
            terms_changed |= follow_terms(connection, chunk).is_change
            missing = [name for name in chunk if name not in found]
            if missing:
                forget_partitions(connection, PER_DISPLAY, missing)
            reacted.update(end_settling(connection, seen))
            gone.update(missing)

        outcomes = self._timelines.repopulate(display_ids, around, ahead=ahead)
        if told:
            self.tell(*map(display_tag, told))
        built: dict[str, BuildOutcome] = {}
        failed: dict[str, SorafeedError] = {}
        for name, outcome in sorted(outcomes.items()):
            if isinstance(outcome, BuildOutcome):
                built[name] = outcome
            elif not isinstance(outcome, NotFoundError):
                failed[name] = outcome
        settled = Settled(built, failed, tuple(sorted(gone)), terms_changed)
        self._note_reactions(
            [Reaction(name, *reacted[name]) for name in settled.changed if name in reacted]
        )
        return settled

    def _note_reactions(self, reactions: Sequence[Reaction]) -> None:
        """Store how soon displays reacted; an error is only logged."""
        if not reactions:
            return
        try:
            with self._engine.begin() as connection:
                add_reactions(connection, reactions)
        except SQLAlchemyError as error:
            _log.warning("reaction times are not stored: %s", error)

    @_tracer.start_as_current_span("snapshot")
    def snapshot(self, display_ids: Collection[str], *tags: str) -> None:
        """Write the snapshots of displays and notify all servers.

        If Redis does not answer, they are written later; see `retry_unwritten`.
        """
        told = [*map(display_tag, display_ids), *tags]
        try:
            if display_ids:
                self.cache_timelines(display_ids, *tags)
            elif tags:
                with redis_errors(self._redis):
                    tell(self._redis, tags)
        except (UnavailableError, SQLAlchemyError) as error:
            # The change itself is stored, so the caller gets no error.
            _log.warning("snapshots of %s wait: %s", few(sorted(display_ids)), error)
            self._unwritten.add(display_ids, tags)
        finally:
            self._on_change(told)

    @_tracer.start_as_current_span("snapshot")
    def write_prepared(self, prepared: Prepared) -> None:
        """Write the snapshots of a committed transaction, and notify all servers."""
        displays = [*(each.display_id for each in prepared.snapshots), *prepared.unrecorded]
        left: set[str] = set()
        try:
            left = write_prepared(self._redis, prepared, ttl=self._ttl)
        except UnavailableError as error:
            _log.warning("snapshots of %s wait: %s", few(sorted(displays)), error)
            self._unwritten.add(displays, ())
        finally:
            self._on_change([display_tag(name) for name in displays])
        if left:
            self.snapshot(left)

    def cache_timelines(self, display_ids: Collection[str], *tags: str) -> None:
        """Write the snapshots of displays.

        Raises:
            UnavailableError: Redis does not answer.
        """
        write_timeline_cache(self._engine, self._redis, display_ids, ttl=self._ttl, tags=tags)

    def cache_counts(self, *, prolong: bool = True) -> None:
        """Write the totals to Redis, unless they are wrong.

        Without ``prolong`` only changed totals are written.

        Raises:
            CountsAuditError: the totals contradict each other; Redis keeps the old ones.
            UnavailableError: Redis does not answer.
        """
        audit_totals(self._engine)
        write_count_cache(self._engine, self._redis, ttl=self._ttl, prolong=prolong)

    def cache_overview(self) -> None:
        """Write the admin snapshot.

        Raises:
            UnavailableError: Redis does not answer.
        """
        write_admin_snapshot(self._engine, self._redis, ttl=self._ttl)

    def tell(self, *tags: str) -> None:
        """Notify all servers; without Redis they cache nothing that could be old."""
        try:
            with redis_errors(self._redis):
                tell(self._redis, tags)
        except UnavailableError as error:
            _log.warning("other servers miss the change of %s: %s", few(sorted(tags)), error)
        finally:
            self._on_change(tags)

    def follow_terms(self) -> TermsSync:
        """Track the searches of all playlists."""
        synced = sync_search_terms(self._engine)
        if synced.is_change:
            self.tell(TERMS_TAG)
        return synced

    def count_waiting_terms(self) -> int:
        """Count new terms that callers wait for, then cache, settle and notify; returns how many.

        Raises:
            SorafeedError, SQLAlchemyError, psycopg.Error: the count failed; the jobs store why, and
                are retried, up to three attempts in all.
        """
        counted = run_count_jobs(self._engine, pool_size=self._pool_size)
        if counted:
            self.write_counts()
            self.tell(TERMS_TAG)
            while self.settle_changed():
                pass
        return counted

    def apply_posts(self, *, catch_up: bool = False) -> int:
        """Apply the waiting changes of posts to counts, pools, totals and caches; returns how many.

        It notes the displays whose plans may change in `display_changes`. New terms are
        left to `count_waiting_terms`: their first count may take long. With ``catch_up`` totals are
        written to Redis even if they did not change: a process may have ended in between.
        """
        refresh = refresh_days(self._engine, None, pool_size=self._pool_size, new_terms=False)
        if refresh_totals(self._engine).changed or catch_up:
            self.write_counts(prolong=False)
        return refresh.changes

    def write_counts(self, *, prolong: bool = True) -> None:
        """Write the totals to Redis; if Redis does not answer, they are written later."""
        try:
            self.cache_counts(prolong=prolong)
        except CountsAuditError as error:
            _log.error("the totals are not cached: %s", error)  # the message is complete
        except (UnavailableError, SQLAlchemyError) as error:
            _log.warning("the totals wait: %s", error)
            self._unwritten.add_counts()

    def retry_unwritten(self) -> int:
        """Retry failed writes to Redis; returns how many displays still wait."""
        displays, tags, counts = self._unwritten.take()
        if displays or tags:
            self.snapshot(sorted(displays), *sorted(tags))
        if counts:
            self.write_counts()
        return len(self._unwritten.displays)

    def rewrite_snapshots(self) -> None:
        """Write every snapshot again, because Redis may have restarted with old ones.

        Raises:
            UnavailableError: Redis does not answer.
        """
        displays, tags, counts = self._unwritten.take()
        try:
            write_timeline_cache(self._engine, self._redis, ttl=self._ttl)
            self.write_counts()
            self.cache_overview()
        except BaseException:
            self._unwritten.add(displays, tags)
            if counts:
                self._unwritten.add_counts()
            raise
        # Their snapshots are written, but the servers still have to be notified.
        self._unwritten.add((), [*tags, *map(display_tag, displays)])

    def all_displays(self) -> list[str]:
        """Every display, by code."""
        with self._engine.connect() as connection:
            return existing_displays(connection)
