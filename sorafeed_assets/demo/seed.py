"""Loading the demo catalogue and demo displays; repeated loading changes nothing."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from sqlalchemy import Engine

from sorafeed_assets.demo.catalogue import (
    CATALOG_DAYS,
    Creator,
    Part,
    Post,
    creators_for,
    days_up_to,
    generate_creators,
    generate_part,
    post_ids,
    whole_days,
)
from sorafeed_assets.demo.playlists import MAX_DISPLAYS, demo_playlist, display_code
from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.storage.catalog import bulk
from sorafeed_assets.storage.playlists.bulk import insert_displays, insert_playlists
from sorafeed_assets.storage.postgres.indexes import analyze, indexes_built_after
from sorafeed_assets.storage.postgres.tables import creators, sora_posts

_CREATORS_AT_ONCE: Final = 50_000
# From this size on, building the indexes once costs less than updating them row by row.
_LARGE: Final = 50_000
# Enough ids to tell, nearly always, whether a day was loaded.
_SAMPLE: Final = 100


@dataclass(frozen=True, slots=True)
class SeedSummary:
    """The result of seeding: ``posts`` over ``days`` are stored, ``inserted`` of them are new."""

    posts: int
    days: int
    inserted: int
    seconds: float


def seed_catalog(
    engine: Engine,
    *,
    posts: int,
    seed: int = 1,
    until: date | datetime,
    first_day: date,
    days: int = CATALOG_DAYS,
    on_progress: Callable[[int, int], None] | None = None,
    on_indexes: Callable[[int, int], None] | None = None,
) -> SeedSummary:
    """Load the demo posts of the ``days`` days up to and including ``until``.

    When that is a time, no post is later, and the day before these days has the rest. A
    day's share does not depend on ``until``, so a later ``until`` only adds posts;
    days before ``first_day`` are left out. Each day is a transaction; existing rows are kept.
    A large load into an empty catalogue builds the indexes last. ``on_progress`` is
    called with the posts done and the posts in all, ``on_indexes`` likewise with indexes.

    Raises:
        InvalidInputError: no posts, no days, a negative seed, or ``until`` before ``first_day``.
    """
    _check_at_least("posts", posts, 1)
    _check_at_least("days", days, 1)
    _check_at_least("seed", seed, 0)
    last = until.astimezone(UTC).date() if isinstance(until, datetime) else until
    if last < first_day:
        raise InvalidInputError(
            "until", f"is {last}, before the first catalog day {first_day}; choose a later day"
        )
    started = time.monotonic()
    wanted = (
        days_up_to(until.astimezone(UTC), posts, days, seed)
        if isinstance(until, datetime)
        else whole_days(until, posts, days)
    )
    parts = [part for part in wanted if part.day >= first_day and part.start < part.stop]
    total = sum(part.stop - part.start for part in parts)
    _seed_creators(engine, creators_for(max((part.posts for part in parts), default=0)), seed)
    done = inserted = 0
    is_large = total >= _LARGE
    with indexes_built_after(engine, on_indexes) if is_large else nullcontext():
        for part in parts:
            inserted += _seed_part(engine, part, seed)
            done += part.stop - part.start
            if on_progress is not None:
                on_progress(done, total)
    if is_large and inserted:
        analyze(engine)
    return SeedSummary(total, len(parts), inserted, time.monotonic() - started)


def _seed_part(engine: Engine, part: Part, seed: int) -> int:
    columns = Post._fields
    with engine.begin() as connection:
        bulk.lock_bulk(connection)
        ids = post_ids(part, seed)
        if not bulk.count_stored(connection, sora_posts, ids[:_SAMPLE]):
            posts = generate_part(part, seed)
            inserted = bulk.copy_new(connection, sora_posts, columns, posts)
            if inserted is not None:
                return inserted
        elif bulk.count_stored(connection, sora_posts, ids) == len(ids):
            return 0
        return bulk.merge_new(connection, sora_posts, columns, generate_part(part, seed))


def _seed_creators(engine: Engine, count: int, seed: int) -> None:
    for first in range(0, count, _CREATORS_AT_ONCE):
        batch = list(generate_creators(first, min(_CREATORS_AT_ONCE, count - first), seed))
        with engine.begin() as connection:
            bulk.lock_bulk(connection)
            ids = [creator.id for creator in batch]
            if bulk.count_stored(connection, creators, ids) < len(ids):
                bulk.merge_new(connection, creators, Creator._fields, batch)


def seed_displays(engine: Engine, *, displays: int, seed: int = 1) -> int:
    """Add demo displays 1 to ``displays`` with a playlist each; returns how many were added.

    Displays that exist are not touched. Nothing is activated.

    Raises:
        InvalidInputError: more than 10,000 displays, or negative numbers.
    """
    _check_at_least("displays", displays, 0)
    _check_at_least("seed", seed, 0)
    if displays > MAX_DISPLAYS:
        raise InvalidInputError("displays", f"is {displays}; at most {MAX_DISPLAYS} are possible")
    numbers = {display_code(number): number for number in range(1, displays + 1)}
    with engine.begin() as connection:
        bulk.lock_bulk(connection)
        names = [f"Demo display {number}" for number in numbers.values()]
        added = insert_displays(connection, list(numbers), names)
        drafts = [demo_playlist(numbers[code], seed) for code in added]
        if added:
            insert_playlists(
                connection,
                [
                    (code, "Demo playlist", len(blocks), sum(b.video_count for b in blocks))
                    for code, blocks in zip(added, drafts, strict=True)
                ],
                [
                    [
                        (b.search_term, b.video_count, b.fetch_mode.value, b.format.value, order)
                        for order, b in enumerate(blocks)
                    ]
                    for blocks in drafts
                ],
            )
    return len(added)


def _check_at_least(field: str, value: int, least: int) -> None:
    if value < least:
        raise InvalidInputError(field, f"is {value}; it must be at least {least}")
