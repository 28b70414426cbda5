"""Redis: the client, the names of the keys, and snapshots written in one transaction."""

import json
import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Final

from redis import ConnectionPool, Redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from sorafeed_assets.domain.batches import batched
from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.errors import SetupError, UnavailableError

COUNT_KEYS: Final = "sorafeed:count:*"
TIMELINE_KEYS: Final = "sorafeed:timeline:*"
PLAYBACK_KEYS: Final = "sorafeed:playback:*"
ADMIN_KEY: Final = "sorafeed:admin:snapshot"
ALERTS_TAG: Final = "alerts"
"""The tag of a change of the alerts that Prometheus raises; each process asks for them itself."""
COUNTS_TAG: Final = "counts"
"""The tag of a change of any total."""
BLOCKLIST_TAG: Final = "blocklist"
"""The tag of posts and creators that are excluded or allowed again."""
DISPLAYS_TAG: Final = "displays"
"""The tag of displays that are added, deleted or renamed."""
TERMS_TAG: Final = "terms"
"""The tag of a change of the tracked terms."""
TOKENS_TAG: Final = "tokens"
"""The tag of tokens that are created or revoked."""
CHANGES: Final = "sorafeed:changes"
"""The channel on which changes are published to all processes, as a JSON list of tags."""

# A version that is not a number counts as 0. Returns the indexes of snapshots that Redis has newer.
_WRITE_NEWER: Final = """
local newer = {}
for i = 1, #KEYS / 3 do
    local found = redis.pcall('GET', KEYS[3 * i])
    local stored = type(found) == 'string' and tonumber(found) or 0
    if stored > tonumber(ARGV[3 * i + 2]) then
        newer[#newer + 1] = i - 1
    else
        for part = 0, 2 do
            redis.call('SET', KEYS[3 * i - 2 + part], ARGV[3 * i + part], 'EX', ARGV[1])
        end
    end
end
redis.call('PUBLISH', 'CHANNEL', ARGV[2])
return newer
""".replace("CHANNEL", CHANGES)

_CONNECT_SECONDS: Final = 0.5
_ANSWER_SECONDS: Final = 2.0
_HANGS_SECONDS: Final = 1.0
_AT_ONCE: Final = 1000


class CircuitBreaker:
    """After a call that took too long, calls fail at once for a second; safe to share.

    A Redis that hangs would delay each call by its time-out.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._again_at = -math.inf

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Watch a call.

        Raises:
            RedisTimeoutError: it takes too long, or another one did a moment ago; then this one is
                not made.
        """
        if self._clock() < self._again_at:
            raise RedisTimeoutError("Redis did not answer a moment ago")
        try:
            yield
        except RedisTimeoutError:
            self._again_at = self._clock() + _HANGS_SECONDS
            raise


class GuardedRedis(Redis):
    """A client whose calls within `redis_errors` a circuit breaker may watch."""

    def __init__(self, pool: ConnectionPool, breaker: CircuitBreaker | None) -> None:
        super().__init__(connection_pool=pool)
        # As with `from_url`: the pool is this client's own.
        self.auto_close_connection_pool = True
        self.breaker = breaker


def count_key(term: str, format_: Format | str) -> str:
    """The key of one total; ``term`` is a normalized query."""
    return f"sorafeed:count:{term}:{Format(format_).value}"


def timeline_key(display_id: str) -> str:
    """The key of what plays next on one display."""
    return f"sorafeed:timeline:{display_id}"


def playback_key(display_id: str) -> str:
    """The key of a display's playback state, which an operator sets."""
    return f"sorafeed:playback:{display_id}"


def version_key(display_id: str) -> str:
    """The key of the version of a display's snapshot and state."""
    return f"sorafeed:version:{display_id}"


def remote_tag(display_id: str) -> str:
    """The tag of what a display's player is told by remote control."""
    return f"remote:{display_id}"


def length_tag(display_id: str) -> str:
    """The tag of how long the video on a display is."""
    return f"length:{display_id}"


def display_tag(display_id: str) -> str:
    """The tag under which a change of one display is published."""
    return f"display:{display_id}"


def create_redis_client(
    url: str, breaker: CircuitBreaker | None = None, *, answers_within: float = _ANSWER_SECONDS
) -> GuardedRedis:
    """Create a client with short time-outs, which reconnects after a lost connection.

    Args:
        url: the server's address.
        breaker: watches the calls.
        answers_within: the time-out of a call, in seconds.

    Raises:
        SetupError: ``url`` is not a Redis address.
    """
    try:
        pool = ConnectionPool.from_url(
            url,
            decode_responses=True,
            # Values of other programs may not be text; they are replaced, not read.
            encoding_errors="replace",
            socket_connect_timeout=_CONNECT_SECONDS,
            socket_timeout=answers_within,
            retry=Retry(
                ExponentialWithJitterBackoff(cap=0.1, base=0.02),
                retries=1,
                supported_errors=(RedisConnectionError,),
            ),
        )
    except ValueError as error:
        raise SetupError(f"SORAFEED_REDIS_URL is not a Redis address: {error}") from error
    return GuardedRedis(pool, breaker)


@contextmanager
def redis_errors(redis: Redis) -> Iterator[None]:
    """Turn the client's exceptions into an error that names the server.

    Raises:
        UnavailableError: the server does not answer, or refuses.
    """
    options = redis.connection_pool.connection_kwargs
    address = f"{options.get('host', 'localhost')}:{options.get('port', 6379)}"
    breaker = redis.breaker if isinstance(redis, GuardedRedis) else None
    try:
        with breaker.watch() if breaker else nullcontext():
            yield
    except (RedisConnectionError, RedisTimeoutError) as error:
        raise UnavailableError(
            f"Redis at {address} does not answer ({error});"
            " start it with `sorafeed up`, or check SORAFEED_REDIS_URL"
        ) from error
    except RedisError as error:
        raise UnavailableError(f"Redis at {address} refused a command: {error}") from error


def matching_keys(redis: Redis, pattern: str) -> set[str]:
    """The keys that match ``pattern``."""
    return set(redis.scan_iter(match=pattern, count=_AT_ONCE))


def write_snapshots(
    redis: Redis,
    values: Mapping[str, str],
    removed: Collection[str],
    *,
    ttl: int,
    tags: Collection[str] = (),
) -> int:
    """Set ``values`` and delete ``removed``, in one MULTI/EXEC.

    Every key expires in ``ttl`` seconds; ``tags`` are published to all listeners in the same
    transaction. Returns how many were deleted.
    """
    if not values and not removed and not tags:
        return 0
    with redis.pipeline(transaction=True) as pipeline:
        if removed:
            pipeline.delete(*sorted(removed))
        for key, value in values.items():
            pipeline.set(key, value, ex=ttl)
        if tags:
            pipeline.publish(CHANGES, json.dumps(sorted(tags)))
        answers = pipeline.execute()
    return int(answers[0]) if removed else 0


@dataclass(frozen=True, slots=True)
class DisplaySnapshot:
    """The values of one display in Redis; a greater version is newer."""

    display_id: str
    timeline: str
    playback: str
    version: int


def write_newer(redis: Redis, snapshots: Sequence[DisplaySnapshot], *, ttl: int) -> list[str]:
    """Write snapshots in one round trip, except over newer ones; returns the displays skipped.

    All the displays are published as changed.
    """
    if not snapshots:
        return []
    keys: list[str] = []
    values: list[str | int] = [
        ttl,
        json.dumps([display_tag(each.display_id) for each in snapshots]),
    ]
    for each in snapshots:
        keys += (timeline_key(each.display_id), playback_key(each.display_id))
        keys.append(version_key(each.display_id))
        values += (each.timeline, each.playback, each.version)
    newer = redis.register_script(_WRITE_NEWER)(keys, values)
    return [snapshots[number].display_id for number in newer]


def write_missing(redis: Redis, values: Mapping[str, str], *, ttl: int) -> None:
    """Write the values of keys that are missing; those that a writer has written meanwhile stay."""
    for key, value in values.items():
        if not redis.set(key, value, ex=ttl, nx=True) and redis.type(key) != "string":
            # A value of another type was not written by this system and cannot be read.
            redis.set(key, value, ex=ttl)


def changed_keys(redis: Redis, values: Mapping[str, str]) -> set[str]:
    """The keys whose value in Redis differs, or is missing."""
    keys = list(values)
    changed: set[str] = set()
    for some in batched(keys, _AT_ONCE):
        found = redis.mget(some)
        changed |= {key for key, old in zip(some, found, strict=True) if old != values[key]}
    return changed


def read_values(redis: Redis, keys: Sequence[str]) -> dict[str, str]:
    """The values of those of ``keys`` that exist."""
    values: dict[str, str] = {}
    for some in batched(keys, _AT_ONCE):
        found = zip(some, redis.mget(some), strict=True)
        values |= {key: str(value) for key, value in found if value is not None}
    return values


def tell(redis: Redis, tags: Collection[str]) -> None:
    """Publish the tags of changes to all listening processes."""
    redis.publish(CHANGES, json.dumps(sorted(tags)))


def read_with_ttl(redis: Redis, keys: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Existing key → its value and the seconds until it expires, -1 for never."""
    found: dict[str, tuple[str, int]] = {}
    for some in batched(keys, _AT_ONCE):
        with redis.pipeline(transaction=True) as pipeline:
            for key in some:
                pipeline.get(key)
                pipeline.ttl(key)
            answers = pipeline.execute()
        for i, key in enumerate(some):
            if answers[2 * i] is not None:
                found[key] = (answers[2 * i], answers[2 * i + 1])
    return found


def forget_all(redis: Redis) -> None:
    """Delete every key of the project; what was restored may be older than what they hold."""
    pipeline = redis.pipeline(transaction=False)
    for key in redis.scan_iter(match="sorafeed:*", count=_AT_ONCE):
        pipeline.unlink(key)
    pipeline.execute()
