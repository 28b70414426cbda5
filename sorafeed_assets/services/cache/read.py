"""Reading snapshots: Redis first, else Postgres, which is asked once however many wait."""

import json
import time
from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock
from typing import Any, Final, TypeVar

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from sorafeed_assets.domain.catalog.search import Format, parse_query
from sorafeed_assets.domain.errors import InvalidInputError, NotFoundError, UnavailableError
from sorafeed_assets.storage.cache.redis import ADMIN_KEY, count_key, timeline_key
from sorafeed_assets.storage.cache.snapshots import (
    admin_snapshot,
    canonical_json,
    timeline_snapshots,
    total,
)

_SKIP_SECONDS: Final = 1.0

_Result = TypeVar("_Result")


class SingleFlight:
    """Runs what many threads ask for at once only once, and gives all of them the outcome."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._running: dict[str, Future[Any]] = {}

    def run(self, key: str, work: Callable[[], _Result]) -> _Result:
        """The result of ``work``, or of the call for ``key`` that is already under way."""
        with self._lock:
            future = self._running.get(key)
            is_first = future is None
            if future is None:
                future = self._running[key] = Future()
        if is_first:
            try:
                future.set_result(work())
            except BaseException as error:
                future.set_exception(error)
                raise
            finally:
                with self._lock:
                    del self._running[key]
        result: _Result = future.result()
        return result


class _Gate:
    """Whether to ask Redis: after a failure not for a second, then by one thread to try."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = Lock()
        self._closed_until: float | None = None

    def is_open(self) -> bool:
        with self._lock:
            if self._closed_until is None:
                return True
            now = self._clock()
            if now < self._closed_until:
                return False
            self._closed_until = now + _SKIP_SECONDS
            return True

    def report(self, *, is_well: bool) -> None:
        with self._lock:
            self._closed_until = None if is_well else self._clock() + _SKIP_SECONDS


class CacheReader:
    """What display players and the admin page read; safe to share between threads.

    Without Redis every answer comes from Postgres. ``ttl`` is in seconds.
    """

    def __init__(
        self,
        engine: Engine,
        redis: Redis,
        *,
        ttl: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._redis = redis
        self._ttl = ttl
        self._gate = _Gate(clock)
        self._flight = SingleFlight()

    def count(self, search_term: str, format_: Format | str = Format.MIXED) -> int | None:
        """How many posts match a query as typed; None when nobody has counted it.

        Raises:
            InvalidInputError: the query or the format is none.
            UnavailableError: neither Redis nor Postgres answers.
        """
        term = parse_query(search_term).term
        try:
            shape = Format(format_)
        except ValueError:
            raise InvalidInputError(
                "format", f"is {format_!r}; it must be one of {', '.join(Format)}"
            ) from None

        def load(connection: Connection) -> str | None:
            found = total(connection, term, shape)
            return None if found is None else str(found)

        return self._read(count_key(term, shape), int, load)

    def timeline(self, display_id: str) -> dict[str, Any]:
        """What plays next on a display, as `timeline_snapshots` has it.

        Raises:
            NotFoundError: there is no such display.
            UnavailableError: neither Redis nor Postgres answers.
        """

        def load(connection: Connection) -> str | None:
            found = timeline_snapshots(connection, [display_id]).get(display_id)
            return None if found is None else canonical_json(found)

        snapshot = self._read(timeline_key(display_id), _decode_object, load)
        if snapshot is None:
            raise NotFoundError(
                f"display {display_id} does not exist; check its code, or create it first"
            )
        return snapshot

    def admin(self) -> dict[str, Any]:
        """What the admin page opens with, as `admin_snapshot` has it.

        Raises:
            UnavailableError: neither Redis nor Postgres answers.
        """
        snapshot = self._read(
            ADMIN_KEY, _decode_object, lambda connection: canonical_json(admin_snapshot(connection))
        )
        return snapshot or {}

    def _read(
        self,
        key: str,
        decode: Callable[[str], _Result],
        load: Callable[[Connection], str | None],
    ) -> _Result | None:
        """Each thread decodes for itself, so that none gets an object that others change."""
        cached = self._get(key)
        found = _decoded(cached, decode)
        if found is not None:
            return found

        def fill() -> str | None:
            # Whoever was first may have filled it since.
            now_cached = self._get(key)
            if now_cached is not None and now_cached != cached:
                return now_cached
            value = self._load(load)
            if value is not None:
                # Only where nothing is: a writer's snapshot may be newer than this one.
                self._set(key, value, is_replacing=now_cached is not None)
            return value

        return _decoded(self._flight.run(key, fill), decode)

    def _load(self, load: Callable[[Connection], str | None]) -> str | None:
        try:
            with self._engine.connect() as connection:
                return load(connection)
        except OperationalError as error:
            raise UnavailableError(
                f"PostgreSQL does not answer ({error.orig});"
                " start it with `sorafeed up`, or check SORAFEED_DATABASE_URL"
            ) from error

    def _get(self, key: str) -> str | None:
        if not self._gate.is_open():
            return None
        try:
            found = self._redis.get(key)
        except RedisError:
            self._gate.report(is_well=False)
            return None
        self._gate.report(is_well=True)
        return found if isinstance(found, str) else None

    def _set(self, key: str, value: str, *, is_replacing: bool) -> None:
        if not self._gate.is_open():
            return
        try:
            self._redis.set(key, value, ex=self._ttl, nx=not is_replacing)
        except RedisError:
            self._gate.report(is_well=False)


def _decode_object(value: str) -> dict[str, Any]:
    decoded = json.loads(value)
    if not isinstance(decoded, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004  # what JSON's own errors are
    return decoded


def _decoded(value: str | None, decode: Callable[[str], _Result]) -> _Result | None:
    """None also for what someone else wrote there: it counts as missing."""
    if value is None:
        return None
    try:
        return decode(value)
    except ValueError:
        return None
