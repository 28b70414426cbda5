"""SQL of `video_counts_by_search`, the view of totals."""

from typing import Final

from sqlalchemy import Connection, text

_EXPECTED: Final = """
SELECT t.term AS search_term, f.format, coalesce(sum(d.count), 0)::bigint AS total_count
FROM search_terms t
CROSS JOIN (VALUES ('mixed'), ('wide'), ('tall')) AS f (format)
LEFT JOIN video_counts_daily d ON d.term = t.term AND d.format = f.format
WHERE t.counted_at IS NOT NULL
GROUP BY t.term, f.format
"""

_STORED: Final = "SELECT search_term, format, total_count FROM video_counts_by_search"

_TOTALS_VERSION: Final = f"""
SELECT count(*),
       coalesce(md5(string_agg(concat_ws(E'\\x1f', search_term, format, total_count), E'\\x1e'
                               ORDER BY search_term, format)), md5('')),
       coalesce(max(total_count), 0),
       count(*) FILTER (WHERE format = 'mixed' AND total_count = 0)
FROM ({_STORED}) AS totals
"""

_TOTALS_DIFFER: Final = f"""
SELECT EXISTS (
    SELECT FROM ({_EXPECTED}) AS expected
    FULL JOIN ({_STORED}) AS stored USING (search_term, format)
    WHERE expected.total_count IS DISTINCT FROM stored.total_count
)
"""

_REFRESH: Final = text("REFRESH MATERIALIZED VIEW CONCURRENTLY video_counts_by_search")


def refresh_view(connection: Connection) -> None:
    """Refresh the view from the daily counts; readers do not wait."""
    connection.execute(_REFRESH)


def sum_totals(connection: Connection) -> dict[tuple[str, str], int]:
    """(term, format) → total as the daily counts have it, of the terms that are counted."""
    rows = connection.execute(text(_EXPECTED))
    return {(term, format_): int(total) for term, format_, total in rows}


def totals_differ(connection: Connection) -> bool:
    """Whether the view differs from the sums of the daily counts."""
    return bool(connection.scalar(text(_TOTALS_DIFFER)))


def totals_version(connection: Connection) -> tuple[int, str, int, int]:
    """The view's number of rows, digest, largest total, and number of terms without a match."""
    rows, digest, largest, without = connection.execute(text(_TOTALS_VERSION)).one()
    return int(rows), str(digest), int(largest), int(without)


def read_totals(connection: Connection) -> dict[tuple[str, str], int]:
    """(term, format) → total, of the terms that are counted."""
    rows = connection.execute(text(_STORED))
    return {(term, format_): int(total) for term, format_, total in rows}
