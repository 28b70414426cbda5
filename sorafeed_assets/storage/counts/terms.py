"""`search_terms`, `watched_terms` and `display_terms`: tracked searches and their users."""

from collections.abc import Collection, Sequence
from typing import Final

from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import OperationalError

from sorafeed_assets.domain.catalog.search import SearchQuery
from sorafeed_assets.storage.counts.jobs import MAX_ATTEMPTS

_SEARCHES: Final = text("""
SELECT p.display_id, b.playlist_id, b.block_order, b.search_term
FROM playlist_blocks b JOIN playlists p ON p.id = b.playlist_id
WHERE CAST(:ids AS text[]) IS NULL OR p.display_id = ANY(CAST(:ids AS text[]))
ORDER BY p.display_id, b.playlist_id, b.block_order
""")
_ADD: Final = text("""
INSERT INTO search_terms (term, phrase, exclusions) VALUES (:term, :phrase, :exclusions)
ON CONFLICT (term) DO NOTHING
""").bindparams(bindparam("exclusions", type_=JSONB))
_TRACKED: Final = text("SELECT term FROM search_terms ORDER BY term")
_TRACKED_OF: Final = text("""
SELECT term FROM search_terms WHERE term = ANY(CAST(:terms AS text[]))
""")
_OF_DISPLAYS: Final = text("""
SELECT display_id, term FROM display_terms
WHERE CAST(:ids AS text[]) IS NULL OR display_id = ANY(CAST(:ids AS text[]))
""")
_USE: Final = text("""
INSERT INTO display_terms (display_id, term)
SELECT u.display_id, u.term
FROM unnest(CAST(:ids AS text[]), CAST(:terms AS text[])) AS u (display_id, term)
JOIN displays d ON d.id = u.display_id
ON CONFLICT DO NOTHING
""")
_USE_NO_MORE: Final = text("""
DELETE FROM display_terms d
USING unnest(CAST(:ids AS text[]), CAST(:terms AS text[])) AS u (display_id, term)
WHERE d.display_id = u.display_id AND d.term = u.term
""")
_UNUSED: Final = text("""
SELECT t.term FROM search_terms t
WHERE (CAST(:terms AS text[]) IS NULL OR t.term = ANY(CAST(:terms AS text[])))
  AND NOT EXISTS (SELECT FROM display_terms d WHERE d.term = t.term)
  AND NOT EXISTS (SELECT FROM watched_terms w WHERE w.term = t.term)
ORDER BY t.term
""")
# Counting locks this table for its whole transaction, so no term is removed during a count.
_NO_COUNTING: Final = text("LOCK TABLE catalog_days IN ROW EXCLUSIVE MODE NOWAIT")
# A term with a pending count job stays; a later call removes it.
_REMOVE: Final = text("""
DELETE FROM search_terms t
WHERE t.term = ANY(CAST(:terms AS text[])) AND NOT EXISTS (
    SELECT FROM count_jobs j
    WHERE j.term = t.term AND t.counted_at IS NULL
      AND (j.attempts < :max OR j.run_after > now())
)
RETURNING t.term
""")
_WATCH: Final = text("""
INSERT INTO watched_terms (term) VALUES (:term) ON CONFLICT (term) DO NOTHING
""")
_UNWATCH: Final = text("DELETE FROM watched_terms WHERE term = :term")


def searches_of(
    connection: Connection, display_ids: Collection[str] | None
) -> Sequence[tuple[str, object, int, str]]:
    """(display, playlist, block order, search as written) of all blocks of these displays."""
    return [tuple(row) for row in connection.execute(_SEARCHES, {"ids": _array(display_ids)})]


def add_terms(connection: Connection, queries: Collection[SearchQuery]) -> list[str]:
    """Track searches; returns the terms that were not tracked before."""
    rows = [
        {"term": query.term, "phrase": query.phrase, "exclusions": list(query.exclusions)}
        for query in sorted(queries, key=lambda query: query.term)
    ]
    return [str(row["term"]) for row in rows if connection.execute(_ADD, row).rowcount]


def tracked(connection: Connection, terms: Collection[str] | None = None) -> list[str]:
    """Those of ``terms`` that are tracked, or all tracked terms, in order."""
    if terms is None:
        return list(connection.scalars(_TRACKED))
    return sorted(connection.scalars(_TRACKED_OF, {"terms": sorted(terms)}))


def used_terms(connection: Connection, display_ids: Collection[str] | None) -> set[tuple[str, str]]:
    """(display, term) pairs as of the last settling of these displays, or of all."""
    rows = connection.execute(_OF_DISPLAYS, {"ids": _array(display_ids)})
    return {(row.display_id, row.term) for row in rows}


def set_used(
    connection: Connection,
    come: Collection[tuple[str, str]],
    gone: Collection[tuple[str, str]],
) -> None:
    """Add and remove (display, term) pairs."""
    for statement, pairs in ((_USE, come), (_USE_NO_MORE, gone)):
        if pairs:
            ids, terms = zip(*sorted(pairs), strict=True)
            connection.execute(statement, {"ids": list(ids), "terms": list(terms)})


def unused(connection: Connection, terms: Collection[str] | None) -> list[str]:
    """Those of ``terms``, or of all tracked ones, that no display uses and no client watches."""
    return list(connection.scalars(_UNUSED, {"terms": _array(terms)}))


def keep_counting_away(connection: Connection) -> bool:
    """Keep counts from beginning until the transaction ends; False while one is in progress."""
    try:
        with connection.begin_nested():
            connection.execute(_NO_COUNTING)
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            return False
        raise
    return True


def remove_terms(connection: Connection, terms: Collection[str]) -> list[str]:
    """Remove terms with their counts and candidates; returns the removed ones."""
    values = {"terms": sorted(terms), "max": MAX_ATTEMPTS}
    return sorted(connection.scalars(_REMOVE, values))


def watch(connection: Connection, term: str) -> bool:
    """Watch a term, which keeps it without a playlist; False when it was already watched."""
    return connection.execute(_WATCH, {"term": term}).rowcount == 1


def unwatch(connection: Connection, term: str) -> bool:
    """Stop watching a term; False when it was not watched."""
    return connection.execute(_UNWATCH, {"term": term}).rowcount == 1


def _array(values: Collection[str] | None) -> list[str] | None:
    return None if values is None else sorted(values)
