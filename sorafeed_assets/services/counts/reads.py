"""Counts: exact for every tracked term, refreshed by what changed, repaired from the text."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from sqlalchemy import Engine, text

from sorafeed_assets.domain.automation import rotating_sample
from sorafeed_assets.domain.catalog.search import Format, parse_query
from sorafeed_assets.services.counts.refresh import CountsRefresh, CountsRun
from sorafeed_assets.storage.catalog.match_rule import MATCHES, match_parameters
from sorafeed_assets.storage.catalog.outbox import pending_days
from sorafeed_assets.storage.counts import daily as stored
from sorafeed_assets.storage.postgres.engine import snapshot

_POSTS: Final = """
SELECT coalesce((SELECT sum(post_count) FROM catalog_days), 0)
     + (SELECT count(*) FILTER (WHERE kind = 'insert') - count(*) FILTER (WHERE kind = 'delete')
        FROM catalog_changes)
"""
# A post with waiting changes is counted as it was when its day was last applied.
_RECOUNT: Final = f"""
WITH applied AS (
    SELECT text, size_class FROM sora_posts p
    WHERE {MATCHES} AND NOT EXISTS (
        SELECT FROM catalog_changes c
        WHERE c.post_id = p.id AND c.catalog_day = catalog_day(p.indexed_at))
    UNION ALL
    SELECT text, size_class FROM (
        SELECT DISTINCT ON (catalog_day, post_id) kind, old_text AS text,
               CASE WHEN old_width > old_height AND old_height > 0 THEN 'wide'
                    WHEN old_height > old_width AND old_width > 0 THEN 'tall'
                    ELSE 'other' END AS size_class
        FROM catalog_changes ORDER BY catalog_day, post_id, id
    ) AS firsts
    WHERE kind <> 'insert' AND {MATCHES}
)
SELECT count(*) FROM applied
WHERE CAST(:size_class AS text) IS NULL OR size_class = :size_class
"""
_STALE: Final = """
SELECT 'changes of ' || catalog_day || ' wait since ' || min(changed_at) FROM catalog_changes
GROUP BY catalog_day HAVING min(changed_at) < now() - :age
UNION ALL
SELECT term || ' is without a count since ' || created_at FROM search_terms
WHERE counted_at IS NULL AND created_at < now() - :age
"""


@dataclass(frozen=True, slots=True)
class PendingChanges:
    """What waits in the outbox; ``edits`` are updates and deletes."""

    inserts: int
    edits: int
    days: tuple[date, ...]


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


def refresh_days(
    engine: Engine,
    days: Collection[date] | None,
    *,
    pool_size: int,
    recount: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> CountsRefresh:
    """Apply what changed on ``days`` (None: on all) to counts and candidate pools.

    A new term is counted over the whole catalogue first of all, which takes every day's changes
    along. ``recount`` counts the days again from their text. One transaction: all or nothing.
    """
    with snapshot(engine) as connection:
        return CountsRun(connection, pool_size, on_progress).refresh(days, recount=recount)


def pending_changes(engine: Engine) -> PendingChanges:
    """What waits to be applied."""
    with engine.connect() as connection:
        days = pending_days(connection)
    inserts = sum(day.inserts for day in days)
    edits = sum(day.changes for day in days) - inserts
    return PendingChanges(inserts, edits, tuple(day.catalog_day for day in days))


def dirty_days(engine: Engine) -> tuple[date, ...]:
    """Days with waiting changes, in order."""
    return pending_changes(engine).days


def counted_days(engine: Engine) -> tuple[date, ...]:
    """Days that were counted at least once, in order."""
    with engine.connect() as connection:
        days = connection.scalars(text("SELECT catalog_day FROM catalog_days ORDER BY 1"))
        return tuple(days)


def uncounted_terms(engine: Engine) -> dict[str, datetime]:
    """The tracked terms that have no count yet, and since when they are tracked."""
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT term, created_at FROM search_terms WHERE counted_at IS NULL ORDER BY 1")
        )
        return {row.term: row.created_at for row in rows}


def day_versions(engine: Engine, days: Collection[date] | None = None) -> dict[date, str]:
    """Per day how many changes it has seen; a day that never had posts is missing."""
    with engine.connect() as connection:
        return {d: str(last) for d, last in stored.day_revisions(connection, days).items()}


def counts_versions(engine: Engine, days: Collection[date]) -> dict[date, str]:
    """A digest of each day's counts; ``none`` for a day without any."""
    with engine.connect() as connection:
        digests = stored.count_digests(connection, days)
    return {day: digests.get(day, "none") for day in days}


def term_totals(engine: Engine) -> dict[tuple[str, str], int]:
    """(term, format) → total; a term that is not counted yet is missing."""
    with engine.connect() as connection:
        return stored.read_totals(connection)


def count_posts(engine: Engine) -> int:
    """Posts in the catalogue, without reading them."""
    with engine.connect() as connection:
        return int(connection.scalar(text(_POSTS)) or 0)


def counts_status(engine: Engine) -> CountsStatus:
    """A count is stale while its term is new or any change waits."""
    posts = count_posts(engine)
    with engine.connect() as connection:
        terms, uncounted = connection.execute(
            text(
                "SELECT count(*), count(*) FILTER (WHERE counted_at IS NULL OR EXISTS"
                " (SELECT FROM catalog_changes)) FROM search_terms"
            )
        ).one()
    formats = len(Format)
    return CountsStatus(posts, terms, (terms - uncounted) * formats, uncounted * formats)


def stale_counts(engine: Engine, *, older_than_hours: float) -> list[str]:
    """Changes and terms that have waited for longer, in plain words."""
    with engine.connect() as connection:
        age = timedelta(hours=older_than_hours)
        return list(connection.scalars(text(_STALE), {"age": age}))


def sample_recount(engine: Engine, *, seed: int, size: int) -> list[RecountSample]:
    """Recount some terms by direct queries, others for each ``seed``.

    Changes that wait are left out on both sides.
    """
    with snapshot(engine) as connection:
        totals = stored.sum_totals(connection)
        terms = rotating_sample(sorted({term for term, _ in totals}), seed=seed, size=size)
        return [
            RecountSample(
                term,
                format_.value,
                totals[term, format_.value],
                int(
                    connection.scalar(
                        text(_RECOUNT),
                        {
                            "size_class": None if format_ is Format.MIXED else format_.value,
                            **match_parameters(parse_query(term)),
                        },
                    )
                    or 0
                ),
            )
            for term in terms
            for format_ in Format
        ]
