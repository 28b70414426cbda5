"""SQL of the counts of terms by catalog day, for plots."""

from collections.abc import Mapping
from datetime import date
from typing import Final

from sqlalchemy import Connection, text

# By the primary key, from the terms that most posts match.
_DAYS: Final = text("""
WITH largest AS (
    SELECT search_term AS term, total_count FROM video_counts_by_search
    WHERE format = 'mixed' ORDER BY total_count DESC, search_term LIMIT :terms
), days AS (
    SELECT CAST(generate_series(CAST(:last AS date) - CAST(:days AS integer) + 1,
        CAST(:last AS date), interval '1 day') AS date) AS day
)
SELECT l.term, array_agg(coalesce(c.count, 0) ORDER BY d.day) AS counts
FROM largest AS l CROSS JOIN days AS d
LEFT JOIN video_counts_daily AS c
    ON c.catalog_day = d.day AND c.term = l.term AND c.format = 'mixed'
GROUP BY l.term, l.total_count ORDER BY l.total_count DESC, l.term
""")


def largest_by_day(
    connection: Connection, last: date, days: int, terms: int
) -> Mapping[str, list[int]]:
    """Term → how many posts of each day up to ``last`` match; of the terms with most matches."""
    rows = connection.execute(_DAYS, {"last": last, "days": days, "terms": terms})
    return {row.term: list(row.counts) for row in rows}
