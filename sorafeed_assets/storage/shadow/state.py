"""Our side of a comparison: stored counts, matches and plays, bounded to one state."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime
from time import monotonic
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Engine, event, text

from sorafeed_assets.domain.catalog.search import Format, SearchQuery
from sorafeed_assets.domain.shadow.costs import Cost
from sorafeed_assets.domain.shadow.posts import Row
from sorafeed_assets.storage.catalog.blocklist import is_excluded
from sorafeed_assets.storage.catalog.match_rule import COUNTED_MATCHES, match_parameters

_PENDING_DAYS: Final = text("SELECT DISTINCT catalog_day FROM catalog_changes ORDER BY 1")
_FIRST_PENDING: Final = text("""
SELECT min(p.indexed_at) FROM catalog_changes AS c JOIN sora_posts AS p ON p.id = c.post_id
WHERE c.kind = 'insert'
""")
_COUNTED: Final = text("SELECT term FROM search_terms WHERE counted_at IS NOT NULL ORDER BY term")
_SHOWN: Final = text("""
SELECT total_count FROM video_counts_by_search WHERE search_term = :term AND format = :format
""")
# The last day is counted up to the moment: of its posts after it there are few.
_BY_DAY: Final = text(f"""
WITH later AS (
    SELECT count(*) AS posts FROM sora_posts
    WHERE {COUNTED_MATCHES}
      AND indexed_at >= :until AND catalog_day(indexed_at) = catalog_day(:until)
      AND (:format = 'mixed' OR size_class = :format)
), counted AS (
    SELECT c.catalog_day,
        c.count - CASE WHEN c.catalog_day = catalog_day(:until) THEN l.posts ELSE 0 END AS count
    FROM video_counts_daily AS c CROSS JOIN later AS l
    WHERE c.term = :term AND c.format = :format AND c.catalog_day <= catalog_day(:until)
      AND c.catalog_day <> ALL (CAST(:without AS date[]))
)
SELECT catalog_day, count FROM counted WHERE count <> 0
""")
_IDS_OF_DAY: Final = text(f"""
SELECT id FROM sora_posts
WHERE {COUNTED_MATCHES} AND catalog_day(indexed_at) = :day AND indexed_at < :until
  AND (:format = 'mixed' OR size_class = :format)
ORDER BY id LIMIT :most
""")
_ROWS: Final = text(f"""
SELECT id, text, CAST(extract(epoch FROM posted_at) AS bigint) AS posted_at, width, height,
    {is_excluded("id", "creator_id")} AS is_excluded
FROM sora_posts WHERE id = ANY (CAST(:ids AS text[]))
""")
_INDEXED_SINCE: Final = text("SELECT id FROM sora_posts WHERE indexed_at >= :since LIMIT :most")
_PLAYED: Final = text("""
SELECT DISTINCT h.video_id FROM displays AS d
JOIN video_history AS h ON h.display_id = d.id AND h.played_at >= d.dedup_since
WHERE d.id = :display
""")
# Plays of this system have ids of version 7; imported ones keep theirs.
_PLAYS: Final = text("""
SELECT (
    SELECT count(*) FROM unnest(CAST(:ids AS uuid[])) AS old (id)
    WHERE NOT EXISTS (SELECT FROM video_history AS h WHERE h.id = old.id)
) AS missing, (
    SELECT count(*) FROM video_history AS h
    WHERE h.display_id = :display AND uuid_extract_version(h.id) IS DISTINCT FROM 7
      AND h.id <> ALL (CAST(:all_ids AS uuid[]))
) AS gone
""")


@dataclass(slots=True)
class Meter:
    """What the statements of a connection took, while `metered` has it."""

    began: float = field(default_factory=monotonic)
    statements: int = 0

    @property
    def cost(self) -> Cost:
        """Seconds since the beginning, and statements."""
        return Cost(monotonic() - self.began, self.statements)


@contextmanager
def metered(source: Connection | Engine) -> Iterator[Meter]:
    """Count the statements of a connection, or of an engine that nobody else uses meanwhile."""
    meter = Meter()

    def count(*_arguments: Any) -> None:
        meter.statements += 1

    event.listen(source, "before_cursor_execute", count)
    try:
        yield meter
    finally:
        event.remove(source, "before_cursor_execute", count)


def pending_days(connection: Connection) -> list[date]:
    """The catalog days whose changes are not counted yet."""
    return list(connection.scalars(_PENDING_DAYS))


def first_pending(connection: Connection) -> datetime | None:
    """When the first post that no pool has yet was indexed."""
    found: datetime | None = connection.scalar(_FIRST_PENDING)
    return found


def counted_terms(connection: Connection) -> list[str]:
    """The terms that are counted."""
    return list(connection.scalars(_COUNTED))


def shown_total(connection: Connection, term: str, format_: Format) -> int | None:
    """The total that readers get."""
    found: int | None = connection.scalar(_SHOWN, {"term": term, "format": format_.value})
    return found


def counts_by_day(
    connection: Connection,
    query: SearchQuery,
    format_: Format,
    until: datetime,
    without: Collection[date],
) -> dict[date, int]:
    """The stored counts of the catalog days up to ``until``, some days left out.

    Of the last day the matches indexed at or after ``until`` are taken off: its stored count has
    them, if nothing of the day waits to be counted.
    """
    values = {
        **match_parameters(query),
        "term": query.term,
        "format": format_.value,
        "until": until,
        "without": list(without),
    }
    return {day: int(count) for day, count in connection.execute(_BY_DAY, values)}


def ids_of_day(
    connection: Connection,
    query: SearchQuery,
    format_: Format,
    day: date,
    until: datetime,
    most: int,
) -> list[str]:
    """The matches of a catalog day that were indexed before ``until``, ``most`` at most."""
    values = {
        **match_parameters(query),
        "format": format_.value,
        "day": day,
        "until": until,
        "most": most,
    }
    return list(connection.scalars(_IDS_OF_DAY, values))


def rows(connection: Connection, ids: Collection[str]) -> dict[str, Row]:
    """Posts by id; unknown ones are missing."""
    found = connection.execute(_ROWS, {"ids": list(ids)})
    return {
        row.id: Row(row.text, row.posted_at, row.width, row.height, row.is_excluded)
        for row in found
    }


def indexed_since(connection: Connection, since: datetime, most: int) -> list[str]:
    """The posts indexed at or after ``since``, ``most`` at most."""
    return list(connection.scalars(_INDEXED_SINCE, {"since": since, "most": most}))


def played(connection: Connection, display_id: str) -> set[str]:
    """The videos that count as played for the next plan of a display."""
    return set(connection.scalars(_PLAYED, {"display": display_id}))


def compare_plays(
    connection: Connection, display_id: str, imported: Collection[UUID], there: Collection[UUID]
) -> tuple[int, int]:
    """How many of the old plays are missing here, and how many imported ones are gone there.

    ``imported`` are the old plays that the last import has seen, ``there`` all of them.
    """
    values = {"display": display_id, "ids": list(imported), "all_ids": list(there)}
    missing, gone = connection.execute(_PLAYS, values).one()
    return int(missing), int(gone)
