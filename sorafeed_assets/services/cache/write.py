"""The Redis snapshots: written from Postgres, recorded, and compared with Postgres.

A writer of a key holds its lock in Postgres from the read until Redis has the value, so
that an older snapshot never replaces a newer one, and no key waits for another. What Redis holds is
recorded right after it is written.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis
from sqlalchemy import Connection, Engine

from sorafeed_assets.domain.batches import batched
from sorafeed_assets.domain.digest import canonical_json
from sorafeed_assets.services.cache.lineage import (
    ADMIN,
    COUNTS,
    admin_change,
    counts_change,
    timeline_changes,
)
from sorafeed_assets.storage.cache.redis import (
    ADMIN_KEY,
    COUNT_KEYS,
    COUNTS_TAG,
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
    version_key,
    write_snapshots,
)
from sorafeed_assets.storage.cache.snapshots import (
    admin_snapshot,
    read_timelines,
    snapshot_version,
    timeline_snapshots,
    totals,
)
from sorafeed_assets.storage.lineage_records import write_changes
from sorafeed_assets.storage.playlists.rows import display_ids as existing_displays
from sorafeed_assets.storage.postgres.locks import LockSpace, lock
from sorafeed_assets.storage.timelines.playback import playback_states

_KEYS_OF_A_DISPLAY: Final = (timeline_key, playback_key)
# A play of a display waits for those that are written, or compared, in one transaction with it.
_AT_ONCE: Final = 20


@dataclass(frozen=True, slots=True)
class CacheWrite:
    """How many keys were written and removed; equal values have equal data versions."""

    written: int
    removed: int
    data_version: str


def write_count_cache(
    engine: Engine, redis: Redis, *, ttl: int, prolong: bool = True
) -> CacheWrite:
    """Replace all totals, and remove those of terms that are no longer counted.

    With ``prolong`` the expiry of unchanged totals is also extended to ``ttl`` seconds.

    Raises:
        UnavailableError: Redis does not answer; it then has the old totals.
    """
    with engine.begin() as connection, redis_errors(redis):
        lock(connection, LockSpace.SNAPSHOT, [COUNTS])
        values = {count_key(*of): str(number) for of, number in totals(connection).items()}
        gone = matching_keys(redis, COUNT_KEYS) - values.keys()
        changed = changed_keys(redis, values)
        written = values if prolong else {key: values[key] for key in changed}
        tags = {COUNTS_TAG} if gone or changed else set()
        removed = write_snapshots(redis, written, gone, ttl=ttl, tags=tags)
        change = counts_change(connection, values)
        write_changes(connection, [change])
    return CacheWrite(len(written), removed, change.data_version)


def write_timeline_cache(
    engine: Engine,
    redis: Redis,
    display_ids: Collection[str] | None = None,
    *,
    ttl: int,
    tags: Collection[str] = (),
) -> dict[str, str]:
    """Write what these displays, or all, play next, and their state; the data version of each.

    The version is that of the plan: a new position or playback state does not change
    it. Keys of displays that do not exist are removed. Servers are notified of changes and of
    ``tags``.

    Raises:
        UnavailableError: Redis does not answer; it then has the old snapshots.
    """
    if display_ids is None:
        display_ids = _all_displays(engine, redis)
    versions: dict[str, str] = {}
    ordered = sorted(set(display_ids))
    for chunk in batched(ordered, _AT_ONCE):
        last = chunk[-1] == ordered[-1]
        with engine.begin() as connection, redis_errors(redis):
            versions |= _write_timelines(connection, redis, chunk, ttl, tags if last else ())
    return versions


def _all_displays(engine: Engine, redis: Redis) -> set[str]:
    """The displays that exist, and those that Redis has keys of."""
    with redis_errors(redis):
        keys = matching_keys(redis, TIMELINE_KEYS) | matching_keys(redis, PLAYBACK_KEYS)
    with engine.connect() as connection:
        return {*existing_displays(connection), *(key.rpartition(":")[2] for key in keys)}


def _write_timelines(
    connection: Connection,
    redis: Redis,
    display_ids: Sequence[str],
    ttl: int,
    more_tags: Collection[str],
) -> dict[str, str]:
    lock(connection, LockSpace.SNAPSHOT, display_ids)
    version = snapshot_version(connection)
    found = read_timelines(connection, display_ids)
    states = playback_states(connection, display_ids)
    values = {timeline_key(name): canonical_json(each.value) for name, each in found.items()}
    values |= {playback_key(name): state for name, state in states.items()}
    gone = {key(name) for name in display_ids for key in _KEYS_OF_A_DISPLAY} - values.keys()
    # For one display the caller knows that it changed, so Redis need not be read.
    changed = values.keys() if len(display_ids) == 1 else changed_keys(redis, values)
    tags = {display_tag(key.rpartition(":")[2]) for key in {*changed, *gone}}
    # Also for a deleted display, so that a late play of it is not written.
    values |= {version_key(name): str(version) for name in display_ids}
    write_snapshots(redis, values, gone, ttl=ttl, tags={*tags, *more_tags})
    write_changes(connection, timeline_changes(found))
    return {name: str(each.value["version"]) for name, each in found.items()}


def write_admin_snapshot(engine: Engine, redis: Redis, *, ttl: int) -> str:
    """Write the admin snapshot; returns its data version.

    Raises:
        UnavailableError: Redis does not answer; it then has the old snapshot.
    """
    with engine.begin() as connection, redis_errors(redis):
        lock(connection, LockSpace.SNAPSHOT, [ADMIN])
        found = admin_snapshot(connection)
        value = canonical_json(found)
        write_snapshots(redis, {ADMIN_KEY: value}, (), ttl=ttl)
        change = admin_change(connection, value, found)
        write_changes(connection, [change])
    return change.data_version


def read_admin_snapshot(engine: Engine) -> dict[str, Any]:
    """The current admin snapshot, from Postgres."""
    with engine.connect() as connection:
        return admin_snapshot(connection)


def check_count_cache(engine: Engine, redis: Redis, *, ttl: int) -> list[str]:
    """The problems of the totals in Redis, one line for each key.

    Raises:
        UnavailableError: Redis does not answer.
    """
    with engine.begin() as connection, redis_errors(redis):
        lock(connection, LockSpace.SNAPSHOT, [COUNTS])
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
    """The problems of the snapshots of these displays, or of all, by display.

    Raises:
        UnavailableError: Redis does not answer.
    """
    if display_ids is None:
        with engine.connect() as connection:
            display_ids = existing_displays(connection)
    problems: dict[str, list[str]] = {}
    for chunk in batched(sorted(set(display_ids)), _AT_ONCE):
        with engine.begin() as connection, redis_errors(redis):
            lock(connection, LockSpace.SNAPSHOT, chunk)
            values = timeline_snapshots(connection, chunk)
            found = read_with_ttl(redis, [timeline_key(display_id) for display_id in chunk])
        for display_id in chunk:
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
        return f"{key} exists, but Postgres has no value for it"
    if value != expected:
        return f"{key} is {value[:80]!r}, Postgres says {expected[:80]!r}"
    if left < 0:
        return f"{key} does not expire"
    if ttl is not None and left > ttl:
        return f"{key} expires in {left} s, later than {ttl} s"
    return None
