"""The Redis snapshots: written from Postgres, and compared with it.

A writer holds a lock in Postgres from before it reads until Redis has the snapshot, so that an
older snapshot never covers a newer one.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis
from sqlalchemy import Engine

from sorafeed_assets.domain.digest import canonical_json, content_digest, text_digest
from sorafeed_assets.storage.cache.redis import (
    ADMIN_KEY,
    COUNT_KEYS,
    PLAYBACK_KEYS,
    TIMELINE_KEYS,
    changed_keys,
    count_key,
    display_tag,
    matching_keys,
    playback_key,
    read_with_ttl,
    redis_errors,
    timeline_key,
    write_snapshots,
)
from sorafeed_assets.storage.cache.snapshots import (
    admin_snapshot,
    lock_snapshots,
    timeline_snapshots,
    totals,
)
from sorafeed_assets.storage.timelines.playback import playback_states

COUNTS_TAG: Final = "counts"
"""The name that a change of any total is told under."""
_KEYS_OF_A_DISPLAY: Final = (timeline_key, playback_key)


@dataclass(frozen=True, slots=True)
class CacheWrite:
    """How many keys were written and removed; equal values have equal data versions."""

    written: int
    removed: int
    data_version: str


def write_count_cache(engine: Engine, redis: Redis, *, ttl: int) -> CacheWrite:
    """Write every total, over the old ones, and remove those of terms no longer counted.

    Also prolongs what did not change to ``ttl`` seconds.

    Raises:
        UnavailableError: Redis does not answer; it then has the old totals.
    """
    with engine.begin() as connection, redis_errors(redis):
        lock_snapshots(connection)
        values = {count_key(*of): str(number) for of, number in totals(connection).items()}
        gone = matching_keys(redis, COUNT_KEYS) - values.keys()
        tags = {COUNTS_TAG} if gone or changed_keys(redis, values) else set()
        removed = write_snapshots(redis, values, gone, ttl=ttl, tags=tags)
    return CacheWrite(len(values), removed, content_digest(values))


def write_timeline_cache(
    engine: Engine,
    redis: Redis,
    display_ids: Collection[str] | None = None,
    *,
    ttl: int,
    tags: Collection[str] = (),
) -> dict[str, str]:
    """Write what plays next on these displays, or on all, and how; per display the data version.

    The version is of what plays next: how it is played belongs to whoever operates the display.
    Keys of displays that do not exist are removed: of the named ones, or, without names, of any.
    Servers are told of what changed, and of ``tags``.

    Raises:
        UnavailableError: Redis does not answer; it then has the old snapshots.
    """
    with engine.begin() as connection, redis_errors(redis):
        lock_snapshots(connection)
        found = timeline_snapshots(connection, display_ids)
        texts = {display_id: canonical_json(value) for display_id, value in found.items()}
        states = playback_states(connection, display_ids)
        values = {timeline_key(display_id): value for display_id, value in texts.items()}
        values |= {playback_key(display_id): state for display_id, state in states.items()}
        known = (
            matching_keys(redis, TIMELINE_KEYS) | matching_keys(redis, PLAYBACK_KEYS)
            if display_ids is None
            else {key(display_id) for display_id in display_ids for key in _KEYS_OF_A_DISPLAY}
        )
        gone = known - values.keys()
        changed = {_tag(key) for key in changed_keys(redis, values) | gone}
        write_snapshots(redis, values, gone, ttl=ttl, tags=changed | set(tags))
    return {display_id: text_digest(value) for display_id, value in texts.items()}


def _tag(key: str) -> str:
    return display_tag(key.rpartition(":")[2])


def write_admin_snapshot(engine: Engine, redis: Redis, *, ttl: int) -> str:
    """Write what the admin page opens with; its data version.

    Raises:
        UnavailableError: Redis does not answer; it then has the old snapshot.
    """
    with engine.begin() as connection, redis_errors(redis):
        lock_snapshots(connection)
        value = canonical_json(admin_snapshot(connection))
        write_snapshots(redis, {ADMIN_KEY: value}, (), ttl=ttl)
    return text_digest(value)


def read_admin_snapshot(engine: Engine) -> dict[str, Any]:
    """The admin snapshot as Postgres has it now."""
    with engine.connect() as connection:
        return admin_snapshot(connection)


def check_count_cache(engine: Engine, redis: Redis, *, ttl: int) -> list[str]:
    """What is wrong with the totals in Redis, one line for each key; empty when all is well.

    Raises:
        UnavailableError: Redis does not answer.
    """
    with engine.begin() as connection, redis_errors(redis):
        lock_snapshots(connection)
        values = {count_key(*of): str(number) for of, number in totals(connection).items()}
        keys = sorted(values.keys() | matching_keys(redis, COUNT_KEYS))
        found = read_with_ttl(redis, keys)
    problems = (_problem(key, values.get(key), found.get(key), ttl) for key in keys)
    return [problem for problem in problems if problem]


def check_timeline_cache(
    engine: Engine,
    redis: Redis,
    display_ids: Collection[str] | None = None,
    *,
    ttl: int | None = None,
) -> dict[str, list[str]]:
    """What is wrong with the snapshots of these displays, or of all; a list for each.

    Raises:
        UnavailableError: Redis does not answer.
    """
    with engine.begin() as connection, redis_errors(redis):
        lock_snapshots(connection)
        values = timeline_snapshots(connection, display_ids)
        ids = sorted(values.keys() | set(display_ids or ()))
        found = read_with_ttl(redis, [timeline_key(display_id) for display_id in ids])
    problems: dict[str, list[str]] = {}
    for display_id in ids:
        key = timeline_key(display_id)
        expected = canonical_json(values[display_id]) if display_id in values else None
        problem = _problem(key, expected, found.get(key), ttl)
        problems[display_id] = [problem] if problem else []
    return problems


def _problem(
    key: str, expected: str | None, found: tuple[str, int] | None, ttl: int | None
) -> str | None:
    if found is None:
        return None if expected is None else f"{key} is missing"
    value, left = found
    if expected is None:
        return f"{key} is there, but what it is about is not in Postgres"
    if value != expected:
        return f"{key} is {value[:80]!r}, Postgres says {expected[:80]!r}"
    if left < 0:
        return f"{key} has no end of life"
    if ttl is not None and left > ttl:
        return f"{key} lives {left} s more, which is over {ttl} s"
    return None
