"""SQL about the state of counts: waiting changes, and recounts of totals."""

from datetime import date, datetime, timedelta
from typing import Final

from sqlalchemy import Connection, select, text

from sorafeed_assets.domain.catalog.search import Format, SearchQuery
from sorafeed_assets.storage.catalog.blocklist import IS_WAITING
from sorafeed_assets.storage.catalog.match_rule import COUNTED_MATCHES, match_parameters
from sorafeed_assets.storage.postgres.tables import catalog_days, search_terms

_POSTS: Final = text("""
SELECT coalesce((SELECT sum(post_count) FROM catalog_days), 0)
     + (SELECT count(*) FILTER (WHERE kind = 'insert') - count(*) FILTER (WHERE kind = 'delete')
        FROM catalog_changes)
""")

# A post with waiting changes counts in the state in which its day was last applied.
_RECOUNT: Final = text(f"""
WITH applied AS (
    SELECT size_class FROM sora_posts p
    WHERE {COUNTED_MATCHES} AND NOT EXISTS (
        SELECT FROM catalog_changes c
        WHERE c.post_id = p.id AND c.catalog_day = catalog_day(p.indexed_at))
    UNION ALL
    SELECT size_class FROM (
        SELECT DISTINCT ON (catalog_day, post_id) kind, old_text AS text, post_id AS id,
               old_creator_id AS creator_id,
               CASE WHEN old_width > old_height AND old_height > 0 THEN 'wide'
                    WHEN old_height > old_width AND old_width > 0 THEN 'tall'
                    ELSE 'other' END AS size_class
        FROM catalog_changes ORDER BY catalog_day, post_id, id
    ) AS firsts
    WHERE kind <> 'insert' AND {COUNTED_MATCHES}
)
SELECT count(*) FROM applied
WHERE CAST(:size_class AS text) IS NULL OR size_class = :size_class
""")

_STALE: Final = text("""
SELECT 'the changes of ' || catalog_day || ' have waited since ' || min(changed_at)
FROM catalog_changes GROUP BY catalog_day HAVING min(changed_at) < now() - :age
UNION ALL
SELECT 'the search “' || term || '” has had no count since ' || created_at FROM search_terms
WHERE counted_at IS NULL AND created_at < now() - :age
UNION ALL
SELECT kind || ' ' || target_id || ' is excluded, but counted, since ' || excluded_at
FROM blocklist AS b
WHERE excluded_at < now() - :age AND NOT EXISTS (
    SELECT FROM counted_blocklist AS c WHERE (c.kind, c.target_id) = (b.kind, b.target_id))
""")

_TERMS: Final = text(f"""
SELECT count(*) AS terms,
    count(*) FILTER (
        WHERE counted_at IS NULL OR EXISTS (SELECT FROM catalog_changes) OR {IS_WAITING}
    ) AS stale
FROM search_terms
""")


def count_posts(connection: Connection) -> int:
    """Posts in the catalogue, without reading them."""
    return int(connection.scalar(_POSTS) or 0)


def recount(connection: Connection, query: SearchQuery, format_: Format) -> int:
    """How many posts match by a direct query, without waiting changes."""
    size_class = None if format_ is Format.MIXED else format_.value
    values = {"size_class": size_class, **match_parameters(query)}
    return int(connection.scalar(_RECOUNT, values) or 0)


def stale_counts(connection: Connection, age: timedelta) -> list[str]:
    """Changes and terms that have waited for longer than ``age``, in plain words."""
    return list(connection.scalars(_STALE, {"age": age}))


def count_terms(connection: Connection) -> tuple[int, int]:
    """The numbers of tracked terms, and of those whose counts are not up to date."""
    row = connection.execute(_TERMS).one()
    return row.terms, row.stale


def counted_days(connection: Connection) -> list[date]:
    """Days that were counted at least once, in order."""
    day = catalog_days.c.catalog_day
    return list(connection.scalars(select(day).order_by(day)))


def uncounted_terms(connection: Connection) -> dict[str, datetime]:
    """The tracked terms that have no count yet, and since when they are tracked."""
    c = search_terms.c
    statement = select(c.term, c.created_at).where(c.counted_at.is_(None)).order_by(c.term)
    return {row.term: row.created_at for row in connection.execute(statement)}
