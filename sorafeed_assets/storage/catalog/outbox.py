"""The outbox `catalog_changes`: changes of posts that counting has not applied yet."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sqlalchemy import Connection, Row, text

from sorafeed_assets.storage.catalog.blocklist import is_excluded

_PENDING: Final = """
SELECT c.catalog_day,
       count(*) AS changes,
       count(*) FILTER (WHERE c.kind = 'insert') AS inserts,
       min(c.changed_at) AS since,
       d.post_count,
       d.catalog_day IS NOT NULL AS is_counted
FROM catalog_changes c
LEFT JOIN catalog_days d USING (catalog_day)
GROUP BY c.catalog_day, d.catalog_day, d.post_count
ORDER BY c.catalog_day
"""

# A post's first change has its state when its day was last applied; the table has its state now.
# An excluded post counts as one without text: before by the blocklist that was counted, now by that
# which is stored.
_CONSUME: Final = f"""
WITH consumed AS (
    DELETE FROM catalog_changes WHERE catalog_day = ANY(:days)
    RETURNING id, catalog_day, post_id, kind, old_text, old_width, old_height,
        old_creator_id
), firsts AS (
    SELECT DISTINCT ON (catalog_day, post_id) * FROM consumed ORDER BY catalog_day, post_id, id
)
SELECT f.catalog_day,
       f.post_id,
       f.kind <> 'insert' AS was_there,
       CASE WHEN {is_excluded("f.post_id", "f.old_creator_id", "counted_blocklist")} THEN ''
            ELSE coalesce(lower(f.old_text), '') END AS old_text,
       CASE WHEN f.old_width > f.old_height AND f.old_height > 0 THEN 0
            WHEN f.old_height > f.old_width AND f.old_width > 0 THEN 1
            ELSE 2 END AS old_shape,
       p.id IS NOT NULL AS is_there,
       CASE WHEN {is_excluded("p.id", "p.creator_id")} THEN ''
            ELSE coalesce(lower(p.text), '') END AS text,
       CASE p.size_class WHEN 'wide' THEN 0 WHEN 'tall' THEN 1 ELSE 2 END AS shape,
       coalesce((extract(epoch FROM p.posted_at - '2000-01-01 00:00+00') * 1000000)::bigint, 0)
           AS posted_at,
       coalesce(p.id_hash, 0) AS id_hash
FROM firsts f
LEFT JOIN sora_posts p ON p.id = f.post_id AND catalog_day(p.indexed_at) = f.catalog_day
ORDER BY f.catalog_day, f.post_id
"""

# Along the primary key, so that dead rows that are not vacuumed yet are passed over only once.
_FIRST_KINDS: Final = """
SELECT DISTINCT kind FROM (SELECT kind FROM catalog_changes ORDER BY id LIMIT 1000) AS firsts
"""

_EDITED: Final = """
SELECT DISTINCT post_id FROM catalog_changes WHERE catalog_day = ANY(:days) AND kind <> 'insert'
"""

_TEXTS: Final = """
SELECT p.id, lower(p.text) FROM (SELECT DISTINCT post_id FROM catalog_changes LIMIT :most) AS c
JOIN sora_posts p ON p.id = c.post_id WHERE p.text IS NOT NULL
"""

_DISCARD: Final = "DELETE FROM catalog_changes WHERE catalog_day = ANY(:days)"


@dataclass(frozen=True, slots=True)
class PendingDay:
    """The waiting changes of one catalog day; ``post_count`` is None if it was never counted.

    ``since`` is when the first of them was made.
    """

    catalog_day: date
    changes: int
    inserts: int
    since: datetime
    post_count: int | None


def pending_days(connection: Connection) -> list[PendingDay]:
    """Every day with waiting changes, in order."""
    return [
        PendingDay(
            row.catalog_day,
            row.changes,
            row.inserts,
            row.since,
            row.post_count if row.is_counted else None,
        )
        for row in connection.execute(text(_PENDING))
    ]


def waiting_kinds(connection: Connection) -> set[str]:
    """The kinds of the first thousand waiting changes."""
    return set(connection.scalars(text(_FIRST_KINDS)))


def edited_posts(connection: Connection, days: Collection[date]) -> set[str]:
    """The posts of ``days`` with a waiting edit or delete."""
    return set(connection.scalars(text(_EDITED), {"days": sorted(days)}))


def pending_posts(connection: Connection) -> set[str]:
    """The posts with waiting changes."""
    return set(connection.scalars(text("SELECT DISTINCT post_id FROM catalog_changes")))


def waiting_texts(connection: Connection, most: int) -> list[tuple[str, str]]:
    """(post id, current lower-cased text) of up to ``most`` posts with waiting changes."""
    return [(post, body) for post, body in connection.execute(text(_TEXTS), {"most": most})]


def consume(connection: Connection, days: Collection[date]) -> list[Row[tuple[object, ...]]]:
    """Remove and return the waiting changes of ``days``: per post its old and current state.

    Columns: catalog_day, post_id, was_there, old_text, old_shape, is_there, text, shape,
    posted_at (microseconds since 2000), id_hash. Texts are lower-cased, shapes are numbers.
    """
    return list(connection.execute(text(_CONSUME), {"days": sorted(days)}))


def discard(connection: Connection, days: Collection[date]) -> int:
    """Drop the waiting changes of ``days``, which are counted from scratch; returns how many."""
    return connection.execute(text(_DISCARD), {"days": sorted(days)}).rowcount
