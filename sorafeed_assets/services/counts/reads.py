"""Reading counts: what is stored, what waits, and samples that are counted again."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Engine

from sorafeed_assets.domain.automation import rotating_sample
from sorafeed_assets.domain.catalog.search import Format, parse_query
from sorafeed_assets.services.counts.lineage import posts_changes
from sorafeed_assets.storage.catalog import blocklist
from sorafeed_assets.storage.catalog.outbox import pending_days
from sorafeed_assets.storage.counts import daily as stored
from sorafeed_assets.storage.counts import status
from sorafeed_assets.storage.counts.totals import read_totals, sum_totals
from sorafeed_assets.storage.lineage_records import write_changes
from sorafeed_assets.storage.postgres.engine import snapshot


@dataclass(frozen=True, slots=True)
class PendingChanges:
    """The changes that counting has not applied, and since when.

    ``edits`` are updates and deletes, and the ``targets`` that were excluded or allowed again:
    posts and creators, whose days are not known yet.
    """

    inserts: int
    edits: int
    days: tuple[date, ...]
    since: datetime | None
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RecountSample:
    """One total as stored, and as a direct query counts it."""

    term: str
    format: str
    stored: int
    recounted: int


@dataclass(frozen=True, slots=True)
class CountsStatus:
    """Posts in the catalogue, tracked terms, and how many counts are up to date."""

    posts: int
    terms: int
    fresh: int
    stale: int


def pending_changes(engine: Engine) -> PendingChanges:
    """The changes that wait to be applied."""
    with engine.connect() as connection:
        days = pending_days(connection)
        targets = blocklist.waiting(connection)
    inserts = sum(day.inserts for day in days)
    edits = sum(day.changes for day in days) - inserts + len(targets)
    since = min((*(day.since for day in days), *targets.values()), default=None)
    return PendingChanges(
        inserts, edits, tuple(day.catalog_day for day in days), since, tuple(map(str, targets))
    )


def dirty_days(engine: Engine) -> tuple[date, ...]:
    """Days with waiting changes, in order."""
    return pending_changes(engine).days


def counted_days(engine: Engine) -> tuple[date, ...]:
    """Days that were counted at least once, in order."""
    with engine.connect() as connection:
        return tuple(status.counted_days(connection))


def uncounted_terms(engine: Engine) -> dict[str, datetime]:
    """The tracked terms that have no count yet, and since when they are tracked."""
    with engine.connect() as connection:
        return status.uncounted_terms(connection)


def day_versions(engine: Engine, days: Collection[date] | None = None) -> dict[date, str]:
    """Day → how many changes it has had; a day that never had posts is missing."""
    with engine.connect() as connection:
        return {d: str(last) for d, last in stored.day_revisions(connection, days).items()}


def record_posts(engine: Engine) -> None:
    """Record how many changes each day's posts have had."""
    with snapshot(engine) as connection:
        # Counting records them too. The snapshot is of when the lock is there.
        stored.lock_counts(connection)
        write_changes(connection, posts_changes(connection, None))


def counts_versions(engine: Engine, days: Collection[date]) -> dict[date, str]:
    """The version of each day's counts; ``none`` for a day without any."""
    with engine.connect() as connection:
        versions = stored.count_versions(connection, days)
    return {day: versions[day][0] if day in versions else "none" for day in days}


def term_totals(engine: Engine) -> dict[tuple[str, str], int]:
    """(term, format) → total; a term that is not counted yet is missing."""
    with engine.connect() as connection:
        return read_totals(connection)


def count_posts(engine: Engine) -> int:
    """Posts in the catalogue, without reading them."""
    with engine.connect() as connection:
        return status.count_posts(connection)


def counts_status(engine: Engine) -> CountsStatus:
    """How many counts are fresh; a count is stale while its term is new or a change waits."""
    with engine.connect() as connection:
        posts = status.count_posts(connection)
        terms, stale = status.count_terms(connection)
    formats = len(Format)
    return CountsStatus(posts, terms, (terms - stale) * formats, stale * formats)


def stale_counts(engine: Engine, *, older_than_hours: float) -> list[str]:
    """Changes and terms that have waited longer than this, in plain words."""
    with engine.connect() as connection:
        return status.stale_counts(connection, timedelta(hours=older_than_hours))


def sample_recount(engine: Engine, *, seed: int, size: int) -> list[RecountSample]:
    """Recount some terms by direct queries; ``seed`` selects the terms.

    Waiting changes are left out on both sides.
    """
    with snapshot(engine) as connection:
        totals = sum_totals(connection)
        terms = rotating_sample(sorted({term for term, _ in totals}), seed=seed, size=size)
        return [
            RecountSample(
                term,
                format_.value,
                totals[term, format_.value],
                status.recount(connection, parse_query(term), format_),
            )
            for term in terms
            for format_ in Format
        ]
