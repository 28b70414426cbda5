"""SQL of `video_counts_daily` and `catalog_days`: the counts of each catalog day."""

from collections.abc import Collection, Iterable, Mapping
from datetime import date
from typing import Final

from sqlalchemy import Connection, Row, text

from sorafeed_assets.storage.postgres.copy import copy_rows

# Keeps other transactions from applying changes. Acquired before the first snapshot, so that this
# transaction sees what the previous one wrote. Readers and the scanner do not wait for it.
_LOCK: Final = "LOCK TABLE catalog_days IN SHARE ROW EXCLUSIVE MODE"
_KEEP_TERMS: Final = (
    "SELECT term, phrase, exclusions, counted_at IS NOT NULL AS is_counted"
    " FROM search_terms ORDER BY term FOR KEY SHARE"
)

_KNOWN_DAYS: Final = """
SELECT catalog_day FROM catalog_days UNION SELECT DISTINCT catalog_day FROM catalog_changes
ORDER BY catalog_day
"""

_STAGE: Final = """
CREATE TEMP TABLE staged_counts (
    term text, format text, catalog_day date, count bigint
) ON COMMIT DROP
"""

# Only rows that differ are written, so that a recount without changes writes nothing.
_APPLY_DIFFERENCES: Final = """
WITH sums AS (
    SELECT term, format, catalog_day, sum(count) AS count FROM staged_counts
    GROUP BY term, format, catalog_day HAVING sum(count) <> 0
), gone AS (
    DELETE FROM video_counts_daily d USING sums s
    WHERE (d.term, d.format, d.catalog_day) = (s.term, s.format, s.catalog_day)
      AND d.count + s.count <= 0
    RETURNING d.term, d.format, d.catalog_day
), written AS (
    INSERT INTO video_counts_daily AS d (term, format, catalog_day, count)
    SELECT s.term, s.format, s.catalog_day, coalesce(o.count, 0) + s.count
    FROM sums s LEFT JOIN video_counts_daily o USING (term, format, catalog_day)
    WHERE coalesce(o.count, 0) + s.count > 0
    ON CONFLICT (term, format, catalog_day) DO UPDATE SET count = excluded.count
    RETURNING 1
)
SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM written)
"""

_REPLACE: Final = """
WITH gone AS (
    DELETE FROM video_counts_daily d
    WHERE d.catalog_day = ANY(:days) AND d.term = ANY(:terms)
      AND NOT EXISTS (SELECT FROM staged_counts s
                      WHERE (s.term, s.format, s.catalog_day) = (d.term, d.format, d.catalog_day))
    RETURNING 1
), written AS (
    INSERT INTO video_counts_daily AS d (term, format, catalog_day, count)
    SELECT term, format, catalog_day, count FROM staged_counts
    ON CONFLICT (term, format, catalog_day) DO UPDATE SET count = excluded.count
    WHERE d.count <> excluded.count
    RETURNING 1
)
SELECT (SELECT count(*) FROM gone) + (SELECT count(*) FROM written)
"""

_ADVANCE_DAY: Final = """
INSERT INTO catalog_days AS d (catalog_day, revision, post_count, counted_at)
VALUES (:day, :changes, :posts, now())
ON CONFLICT (catalog_day) DO UPDATE
SET revision = d.revision + excluded.revision, post_count = excluded.post_count,
    counted_at = excluded.counted_at
WHERE excluded.revision > 0 OR d.post_count <> excluded.post_count
"""

_VERSIONS: Final = """
SELECT catalog_day, rows, digest FROM count_digests
WHERE rows > 0
  AND (CAST(:days AS date[]) IS NULL OR catalog_day = ANY(CAST(:days AS date[])))
"""

_POST_COUNTS: Final = "SELECT catalog_day, post_count FROM catalog_days"

_DAY_VERSIONS: Final = """
SELECT catalog_day, sum(revision)::bigint FROM (
    SELECT catalog_day, revision FROM catalog_days
    UNION ALL SELECT catalog_day, count(*) FROM catalog_changes GROUP BY catalog_day
) AS revisions
WHERE CAST(:days AS date[]) IS NULL OR catalog_day = ANY(CAST(:days AS date[]))
GROUP BY catalog_day
"""

_APPLIED: Final = "SELECT catalog_day, revision FROM catalog_days"


def lock_counts(connection: Connection) -> None:
    """Acquire the lock of counting, held until the transaction ends; waits without a time-out."""
    connection.execute(text("SET LOCAL lock_timeout = 0"))
    connection.execute(text(_LOCK))


def read_terms(connection: Connection) -> list[Row[tuple[object, ...]]]:
    """term, phrase, exclusions, is_counted; locked against deletion until the transaction ends."""
    return list(connection.execute(text(_KEEP_TERMS)))


def known_days(connection: Connection) -> list[date]:
    """Every catalog day that has or had posts, or has waiting changes."""
    return list(connection.scalars(text(_KNOWN_DAYS)))


def stage(connection: Connection, rows: Iterable[tuple[str, str, date, int]]) -> None:
    """Stage (term, format, day, count) rows for `apply_differences` and `replace`."""
    connection.execute(text("DROP TABLE IF EXISTS staged_counts"))
    connection.execute(text(_STAGE))
    copy_rows(connection, "staged_counts", ("term", "format", "catalog_day", "count"), rows)


def apply_differences(connection: Connection) -> int:
    """Add the staged rows to the counts; returns how many rows were written."""
    return int(connection.scalar(text(_APPLY_DIFFERENCES)) or 0)


def replace(connection: Connection, days: Collection[date], terms: Collection[str]) -> int:
    """Replace the counts of ``terms`` on ``days`` by the staged rows; returns the rows written."""
    parameters = {"days": sorted(days), "terms": sorted(terms)}
    return int(connection.scalar(text(_REPLACE), parameters) or 0)


def advance_days(connection: Connection, days: Mapping[date, tuple[int, int]]) -> None:
    """Record (changes applied, posts) per day; an unchanged day is not written."""
    if days:
        connection.execute(
            text(_ADVANCE_DAY),
            [
                {"day": day, "changes": changes, "posts": posts}
                for day, (changes, posts) in sorted(days.items())
            ],
        )


def mark_counted(connection: Connection, terms: Collection[str]) -> None:
    """Mark ``terms`` as counted."""
    connection.execute(
        text("UPDATE search_terms SET counted_at = now() WHERE term = ANY(:terms)"),
        {"terms": sorted(terms)},
    )


def count_versions(
    connection: Connection, days: Collection[date] | None
) -> dict[date, tuple[str, int]]:
    """Day → the version of its counts and its number of rows; a day without rows is missing."""
    found = connection.execute(text(_VERSIONS), {"days": None if days is None else sorted(days)})
    return {day: (f"{rows}-{digest % 2**64:016x}", int(rows)) for day, rows, digest in found}


def post_counts(connection: Connection) -> dict[date, int]:
    """How many posts each counted day has."""
    return {day: int(posts) for day, posts in connection.execute(text(_POST_COUNTS))}


def day_revisions(connection: Connection, days: Collection[date] | None) -> dict[date, int]:
    """How many changes each day has seen, applied or waiting.

    A number of changes, not an id, because ids do not become visible in order.
    """
    wanted = None if days is None else sorted(days)
    return {
        day: int(last) for day, last in connection.execute(text(_DAY_VERSIONS), {"days": wanted})
    }


def applied_revisions(connection: Connection) -> dict[date, int]:
    """How many changes of each day counting has applied."""
    return {day: int(number) for day, number in connection.execute(text(_APPLIED))}
