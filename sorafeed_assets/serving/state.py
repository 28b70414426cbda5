"""The state that the routes of one process share: connections, caches, threads.

What a route does with them is in the route's module.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from time import monotonic
from typing import Final, TypeVar
from uuid import UUID

import structlog
from psycopg import Connection
from sqlalchemy import Engine, event
from sqlalchemy.exc import SQLAlchemyError

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.services.commands import Commands
from sorafeed_assets.services.flags import Flags
from sorafeed_assets.services.queries import Queries
from sorafeed_assets.services.rollouts.rollouts import Rollouts
from sorafeed_assets.services.settle import Settler
from sorafeed_assets.services.signing import Signer
from sorafeed_assets.services.timelines.repeats import RepeatedSearches
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.services.tokens import (
    Token,
    find_tokens,
    tokens_by_id,
    tokens_version,
    usable_tokens,
)
from sorafeed_assets.serving.access.access import MOST_TOKENS, Rates, TokenCache
from sorafeed_assets.serving.access.slots import Slots
from sorafeed_assets.serving.background import Background
from sorafeed_assets.serving.exports import Exports
from sorafeed_assets.serving.http.metrics import Metrics
from sorafeed_assets.serving.live.alerts import FiringAlerts
from sorafeed_assets.serving.live.batched_plays import batched_plays
from sorafeed_assets.serving.live.batching import BatchedReads
from sorafeed_assets.serving.live.changes import Hub, Listener
from sorafeed_assets.serving.live.connection import create_channel_client, create_read_client
from sorafeed_assets.serving.live.reactions import Reactions
from sorafeed_assets.serving.live.response_cache import ResponseCache
from sorafeed_assets.serving.live.snapshots import snapshot_reads
from sorafeed_assets.serving.live.troubles import Troubles
from sorafeed_assets.serving.replica_reads import ReplicaReads
from sorafeed_assets.serving.unavailable import begun_in_time, unavailable_for
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.cache.redis import CircuitBreaker, create_redis_client
from sorafeed_assets.storage.postgres.engine import create_database_engine
from sorafeed_assets.storage.postgres.replica import Replica

_THREADS: Final = 12
_READ_SECONDS: Final = 5
_CHANGE_SECONDS: Final = 60
_DAGSTER_SECONDS: Final = 2
# A play waits for its snapshot to be written; one that is not is written again later.
_WRITE_SECONDS: Final = 0.5
_CHANNEL_DEAD_SECONDS: Final = 3.0
_REWRITE_AGAIN_SECONDS: Final = 1.0
# `react` plans most loops; here only edits, previews and plays that were ahead of it are planned.
_CANDIDATES_KEPT: Final = 50_000
_MOST_PLANS: Final = 2
# A preview plans a display; most threads that read are left to others.
_MOST_PREVIEWS: Final = 4
CHANNEL: Final = "channel"
_REWRITE: Final = "snapshots"

_Result = TypeVar("_Result")

_log: Final = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """The body of an answer, as it is sent, with its ETag."""

    body: bytes
    etag: str = ""


class ServerState:
    """What the routes of one process share; created in the event loop that uses it."""

    def __init__(self, settings: Settings) -> None:
        if settings.database_url is None or settings.redis_url is None:
            raise SetupError("no database or Redis address; start `sorafeed up`, or set both")
        self.settings = settings
        self.metrics = Metrics()
        self.has_old_system = settings.follows_legacy
        self.metrics.stored.has_legacy = settings.legacy_catalog_url is not None
        self.metrics.stored.follows_legacy = settings.follows_legacy
        self.engine = self._engine("read", _READ_SECONDS)
        self.change_engine = self._engine("change", _CHANGE_SECONDS)
        self.job_engine = self._engine("job", settings.statement_timeout_seconds)
        self.dagster_engine = self._dagster_engine()
        self.replica = ReplicaReads(self.engine, self._replica(), self.run)
        breaker = CircuitBreaker()
        self.redis = create_redis_client(
            str(settings.redis_url), breaker, answers_within=_WRITE_SECONDS
        )
        self.async_redis = create_read_client(str(settings.redis_url))
        self.snapshots = snapshot_reads(self.async_redis, breaker)
        self._channel_redis = create_channel_client(str(settings.redis_url))
        self.queries = Queries(self.engine)
        self.repeats = RepeatedSearches()
        # On the change engine, because the metrics count only reads that requests cause.
        self.flags = Flags(self.change_engine)
        self.responses: ResponseCache[CachedResponse] = ResponseCache(
            settings.api_answer_seconds, size_of=lambda answer: len(answer.body)
        )
        self.hub = Hub()
        self.reactions = Reactions(self.metrics)
        self.troubles = Troubles()
        self.alerts = FiringAlerts(settings)
        self.tokens = TokenCache()
        self.stored_tokens = BatchedReads(self._find_tokens)
        self.rates = Rates(settings.api_calls_per_second)
        self.commands = Commands(
            self.change_engine,
            self.redis,
            TimelineService(
                self.change_engine,
                window=settings.window,
                candidates_per_pool=settings.candidates_per_pool,
                candidates_kept=_CANDIDATES_KEPT,
                flags=self.flags,
            ),
            ttl=settings.cache_ttl_seconds,
            pool_size=settings.candidates_per_pool,
            on_change=self._changed_here,
        )
        settle = self.commands.settler.settle
        self.rollouts = Rollouts.of(self.change_engine, self.flags, settle, settings)
        self.plays = batched_plays(self.commands, self.change)
        # Counting takes longer than a request is allowed to.
        self.job_settler = Settler.of(self.job_engine, self.redis, settings, self._changed_here)
        self.background = Background(self.metrics)
        self.listener = Listener(
            self._channel_redis,
            self._heard,
            self._channel,
            on_alive=lambda: self.background.succeeded(CHANNEL),
        )
        self.is_warm = False
        # False from when the channel is lost until all snapshots are written again.
        self.snapshots_are_current = False
        self._has_heard = False
        self._tokens_have_changed = False
        # When each display last called; not stored yet.
        self.calls: dict[str, datetime] = {}
        # By queue entry, its display and how long its video is, in milliseconds; not stored yet.
        self.durations: dict[UUID, tuple[str, int]] = {}
        self._threads = ThreadPoolExecutor(_THREADS, "sorafeed")
        # Threads of their own, so that changes which wait for a lock do not delay reads.
        self._change_threads = ThreadPoolExecutor(_THREADS, "sorafeed-changes")
        self._job_threads = ThreadPoolExecutor(2, "sorafeed-jobs")
        # One thread, which the event loop interrupts after half a millisecond.
        self._compute_thread = ThreadPoolExecutor(1, "sorafeed-compute")
        self._loop = asyncio.get_running_loop()
        self.signer = Signer(self.change_engine, settings.player_plan_hours / 24)
        # Players that all read their plans leave threads for other reads.
        self.plans_at_once = asyncio.Semaphore(_MOST_PLANS)
        self.exports = Exports()
        self.previews = Slots("previews", _MOST_PREVIEWS, _MOST_PREVIEWS // 2)
        self._job_connections: set[Connection[object]] = set()
        event.listen(self.job_engine, "checkout", lambda c, *_: self._job_connections.add(c))
        event.listen(self.job_engine, "checkin", lambda c, *_: self._job_connections.discard(c))

    def _engine(self, use: str, seconds: int) -> Engine:
        engine = create_database_engine(
            str(self.settings.database_url),
            self.settings.model_copy(update={"statement_timeout_seconds": seconds}),
            pool_size=_THREADS,
            application=f"sorafeed api {use}",
        )
        self.metrics.count_queries(engine, use)
        return engine

    def _replica(self) -> Replica | None:
        """The replica for lists and exports; None without its address."""
        url = self.settings.database_read_url
        if url is None:
            return None
        engine = create_database_engine(
            str(url),
            self.settings.model_copy(update={"statement_timeout_seconds": _READ_SECONDS}),
            pool_size=_THREADS,
        )
        self.metrics.count_queries(engine, "replica")
        return Replica(self.engine, engine, self.settings.read_lag_seconds)

    def _dagster_engine(self) -> Engine | None:
        """An engine on Dagster's database, for the metrics only; None without its address."""
        url = self.settings.dagster_url
        if url is None:
            return None
        self.metrics.stored.has_dagster = True
        brief = self.settings.model_copy(update={"statement_timeout_seconds": _DAGSTER_SECONDS})
        return create_database_engine(str(url), brief, pool_size=1)

    async def expire_responses(self) -> None:
        """Drop the expired answers."""
        self.responses.expire()

    async def read_flags(self) -> None:
        """Read the flags again, if a definition was changed."""
        await self.run(self.flags.at_once)

    async def confirm_tokens(self) -> None:
        """Extend the known tokens if no stored token has changed, else read them all again.

        So every process knows the tokens of all players, also of those that another one served.
        Event streams end whose token is expired or revoked.
        """
        asked_at = self.tokens.now()
        # On the change engine, because the metrics count only reads that requests cause.
        version = await self.run(lambda: tokens_version(self.change_engine))
        if not self.tokens.confirm(version, asked_at):
            asked_at = self.tokens.now()
            usable = await self.run(lambda: usable_tokens(self.change_engine, MOST_TOKENS))
            self.tokens.replace(*usable, asked_at)
            self._tokens_have_changed = True
        ids = self.hub.tokens_to_confirm(have_changed=self._tokens_have_changed)
        if ids:
            found = await self.run(lambda: tokens_by_id(self.change_engine, ids))
            self.hub.confirm(ids, found)
        self._tokens_have_changed = False

    async def _find_tokens(self, secrets: list[str]) -> dict[str, Token]:
        return await self.run(lambda: find_tokens(self.engine, secrets))

    async def run(self, work: Callable[[], _Result]) -> _Result:
        """Run blocking work in a thread.

        Raises:
            UnavailableError: PostgreSQL does not answer, is busy, or takes too long.
        """
        return await self._in(self._threads, work)

    def submit(self, work: Callable[[], _Result]) -> "Future[_Result]":
        """Start blocking work in a thread."""
        return self._threads.submit(work)

    async def change(
        self, work: Callable[[], _Result], *, begins_within: float | None = None
    ) -> _Result:
        """Run a change in a thread.

        A change that has waited longer than ``begins_within`` seconds for a thread is not made: its
        client has given up and sends it again, and a server that is behind would never catch up.

        Raises:
            UnavailableError: PostgreSQL is busy or does not answer, or the change was not begun.
        """
        if begins_within is not None:
            work = partial(begun_in_time, work, monotonic() + begins_within)
        return await self._in(self._change_threads, work)

    async def compute(self, work: Callable[[], _Result]) -> _Result:
        """Run work that only computes in the one thread for it, so that the event loop is free."""
        return await self._loop.run_in_executor(self._compute_thread, work)

    async def run_job(self, work: Callable[[], _Result]) -> _Result:
        """Run long work in a thread that no request waits for."""
        return await self._in(self._job_threads, work)

    async def _in(self, threads: ThreadPoolExecutor, work: Callable[[], _Result]) -> _Result:
        try:
            # The thread's spans belong to the request's.
            return await self._loop.run_in_executor(threads, copy_context().run, work)
        except SQLAlchemyError as error:
            unavailable = unavailable_for(error)
            if unavailable is None:
                raise
            raise unavailable from error

    def _changed_here(self, tags: Collection[str]) -> None:
        """Drop what was made from these tags; called in a thread, returns when that is done."""
        done = asyncio.run_coroutine_threadsafe(self._drop_here(list(tags)), self._loop)
        done.result(timeout=_CHANGE_SECONDS)

    async def _drop_here(self, tags: list[str]) -> None:
        self._drop(tags)
        # Pages are notified through the channel, like those of other processes. If it is
        # dead, the listener notices within seconds.
        self._tell_unheard(tags)
        self._loop.call_later(_CHANNEL_DEAD_SECONDS, self._tell_unheard, tags)

    def _tell_unheard(self, tags: list[str]) -> None:
        if not self.listener.is_connected:
            self.hub.tell(tags)

    def _heard(self, tags: list[str]) -> None:
        self._drop(tags)
        self.hub.tell(tags)

    def _drop(self, tags: list[str]) -> None:
        if "tokens" in tags:
            self.tokens.forget()
        elif "all" in tags:
            self.tokens.expire()
        self.responses.drop(tags)

    def _channel(self, connected: bool) -> None:  # noqa: FBT001  # a listener's state
        _log.info("channel", connected=connected)
        self.responses.trust(trusted=connected)
        self.tokens.expire()
        self.snapshots_are_current = False
        self.background.cancel(_REWRITE)
        if connected:
            # Changes may have been missed, so pages read everything again.
            self.hub.tell(["all"])
            self.background.until_done(
                _REWRITE, partial(self._rewrite, is_again=self._has_heard), _REWRITE_AGAIN_SECONDS
            )
        self._has_heard = True

    async def _rewrite(self, *, is_again: bool) -> None:
        """Write all snapshots again: Redis may have restarted with old ones, or with none."""
        await self.change(self.commands.settler.rewrite_snapshots)
        self.snapshots_are_current = True
        if is_again:
            await self.change(lambda: self.commands.settler.tell("all"))

    def stop(self) -> None:
        """End the answers that do not end by themselves, or not soon."""
        self.hub.close()
        self.exports.stop()

    async def close(self) -> None:
        """End all subscriptions and close every connection."""
        self.stop()
        await self.background.stop()
        await asyncio.to_thread(self.exports.cancel)
        for connection in list(self._job_connections):
            connection.cancel_safe(timeout=2.0)
        for threads in (
            self._threads,
            self._change_threads,
            self._job_threads,
            self._compute_thread,
        ):
            await asyncio.to_thread(threads.shutdown, cancel_futures=True)
        self.exports.close()
        for client in (self.async_redis, self._channel_redis):
            with contextlib.suppress(OSError):
                await client.aclose()
        self.redis.close()
        self.replica.close()
        for engine in (self.engine, self.change_engine, self.job_engine, self.dagster_engine):
            if engine is not None:
                engine.dispose()
