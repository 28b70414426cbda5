"""Comparing the catalogue with the old one, part by part, and copying what differs again."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Engine

from sorafeed_assets.services.legacy.catalog import POSTS, copy_undated
from sorafeed_assets.services.legacy.lineage import write_versions
from sorafeed_assets.storage.legacy import posts as ours
from sorafeed_assets.storage.legacy.comparisons import (
    Comparison,
    our_digest,
    our_row_digests,
    read_comparisons,
    store_comparison,
)
from sorafeed_assets.storage.legacy.old_catalog import CREATORS, UNDATED, Digest, OldCatalog, Part
from sorafeed_assets.storage.legacy.old_days import days_with_posts

_AT_ONCE: Final = 10_000
_MANY_DAYS: Final = 1_000
EVERY: Final = timedelta(days=1)
"""How often each part is compared while the old system is followed."""


def parts(engine: Engine, old: OldCatalog) -> list[Part]:
    """Everything that can be compared now: creators, undated posts, and each catalog day."""
    with engine.connect() as connection:
        cursor = ours.read_cursors(connection).get(POSTS)
    bounds = old.bounds()
    if cursor is None or cursor.indexed_at is None or bounds is None:
        return []
    # Posts after the cursor may not be copied yet; the day of the cursor is compared up to it.
    last = min(bounds[1], cursor.indexed_at).date()
    return [
        CREATORS,
        UNDATED,
        *(Part.of_day(day, cursor.indexed_at) for day in _days(old, bounds[0].date(), last)),
    ]


def due_part(engine: Engine, old: OldCatalog) -> Part | None:
    """The part that has waited longest for its daily comparison; None when none is due.

    A day is due once it is over and everything of it is copied.
    """
    with engine.connect() as connection:
        compared = {each.part: each.compared_at for each in read_comparisons(connection)}
    now = datetime.now(UTC)
    waiting = [
        (at or datetime.min.replace(tzinfo=UTC), part)
        for part in parts(engine, old)
        if (part.since is None or part.until == part.since + timedelta(days=1))
        and ((at := compared.get(part.name)) is None or now - at >= EVERY)
    ]
    return min(waiting, key=lambda each: (each[0], each[1].name))[1] if waiting else None


def reconcile(engine: Engine, old: OldCatalog, part: Part) -> Comparison:
    """Compare a part, copy its missing and changed rows again, and store what was found.

    Rows that only exist here stay: the old system may have lost them.
    """
    if part == UNDATED:
        found = Comparison(part.name, 0, 0, changed=copy_undated(engine, old))
    else:
        found = _compare(engine, old, part)
    with engine.begin() as connection:
        store_comparison(connection, found)
        write_versions(connection, [found])
    return found


def _compare(engine: Engine, old: OldCatalog, part: Part) -> Comparison:
    with engine.connect() as connection:
        theirs, here = _digests(connection, old, part)
        digest = f"{theirs.rows}-{theirs.total}"
        if theirs == here:
            return Comparison(part.name, theirs.rows, here.rows, old_digest=digest)
        wanted, stored = old.row_digests(part), our_row_digests(connection, part)
    missing = [row_id for row_id in wanted if row_id not in stored]
    changed = [row_id for row_id in wanted if stored.get(row_id, wanted[row_id]) != wanted[row_id]]
    _copy_again(engine, old, part, missing + changed)
    only_here = len(stored.keys() - wanted.keys())
    return Comparison(
        part.name,
        len(wanted),
        len(stored),
        len(missing),
        len(changed),
        only_here,
        old_digest=digest,
    )


def _digests(connection: Connection, old: OldCatalog, part: Part) -> tuple[Digest, Digest]:
    """Both sides' digests, which both servers compute at the same time."""
    with ThreadPoolExecutor(1) as there:
        theirs = there.submit(old.digest, part)
        here = our_digest(connection, part)
        return theirs.result(), here


def _copy_again(engine: Engine, old: OldCatalog, part: Part, ids: Sequence[str]) -> None:
    for start in range(0, len(ids), _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        with engine.begin() as connection:
            if part == CREATORS:
                ours.replace_creators(connection, old.copy_creators(some))
            else:
                ours.stage_posts(connection, old.copy_posts(some))
                ours.replace_staged_posts(connection)


def _days(old: OldCatalog, first: date, last: date) -> Sequence[date]:
    """The days of the catalogue: without a gap, unless one post of a wrong time makes them many."""
    number = (last - first).days + 1
    if number > _MANY_DAYS:
        return [day for day in days_with_posts(old) if day <= last]
    return [first + timedelta(days=each) for each in range(number)]
