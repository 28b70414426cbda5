"""Which searches are tracked: every one of any playlist, and those that are watched."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Engine, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from sorafeed_assets.domain.catalog.search import SearchQuery, parse_query
from sorafeed_assets.domain.errors import InvalidInputError, NotFoundError
from sorafeed_assets.storage.counts.jobs import MAX_ATTEMPTS, add_jobs
from sorafeed_assets.storage.postgres.retry import retried

_SEARCHES: Final = """
SELECT DISTINCT ON (b.search_term) b.search_term, b.playlist_id, b.block_order
FROM playlist_blocks b ORDER BY b.search_term, b.playlist_id, b.block_order
"""
_ADD: Final = text(
    "INSERT INTO search_terms (term, phrase, exclusions, is_watched)"
    " VALUES (:term, :phrase, :exclusions, :is_watched)"
    " ON CONFLICT (term) DO UPDATE SET is_watched = true"
    " WHERE excluded.is_watched AND NOT search_terms.is_watched"
).bindparams(bindparam("exclusions", type_=JSONB))
# A term that is being counted right now is skipped, and so is one whose count somebody waits for
# (the last attempt has no other sign than its lease); a look after that removes it.
_REMOVE: Final = """
DELETE FROM search_terms WHERE term IN (
    SELECT t.term FROM search_terms t
    WHERE t.term = ANY(:terms) AND NOT EXISTS (
        SELECT FROM count_jobs j
        WHERE j.term = t.term AND t.counted_at IS NULL
          AND (j.attempts < :max OR j.run_after > now())
    )
    ORDER BY t.term FOR UPDATE OF t SKIP LOCKED
)
"""


@dataclass(frozen=True, slots=True)
class TermsSync:
    """What became of the tracked terms; ``problems`` name blocks whose search is unusable."""

    added: int
    removed: int
    kept: int
    problems: tuple[str, ...]

    @property
    def is_change(self) -> bool:
        """Whether other terms are tracked than before."""
        return bool(self.added or self.removed)


@retried
def sync_search_terms(engine: Engine) -> TermsSync:
    """Track what playlists search for, and drop what nobody searches for or watches."""
    with engine.begin() as connection:
        wanted, problems = _wanted(connection)
        rows = connection.execute(text("SELECT term, is_watched FROM search_terms"))
        tracked: dict[str, bool] = {row.term: row.is_watched for row in rows}
        missing = sorted(set(wanted) - set(tracked))
        unused = sorted(t for t, watched in tracked.items() if not watched and t not in wanted)
        if missing:
            connection.execute(_ADD, [_row(wanted[term], is_watched=False) for term in missing])
        removed = 0
        if unused:
            values = {"terms": unused, "max": MAX_ATTEMPTS}
            removed = connection.execute(text(_REMOVE), values).rowcount
    return TermsSync(len(missing), removed, len(tracked) - removed, tuple(problems))


def _wanted(connection: Connection) -> tuple[dict[str, SearchQuery], list[str]]:
    wanted: dict[str, SearchQuery] = {}
    problems: list[str] = []
    for search, playlist, order in connection.execute(text(_SEARCHES)):
        try:
            query = parse_query(search)
        except InvalidInputError as error:
            problems.append(f"playlist {playlist}, block {order}: {error}")
        else:
            wanted[query.term] = query
    return wanted, problems


def _row(query: SearchQuery, *, is_watched: bool) -> dict[str, object]:
    return {
        "term": query.term,
        "phrase": query.phrase,
        "exclusions": list(query.exclusions),
        "is_watched": is_watched,
    }


@retried
def track_term(engine: Engine, query: SearchQuery, priority: int) -> bool:
    """Track a search until a sync finds it counted, and nobody plays or watches it.

    True when it was not tracked before.
    """
    # Together: a sync in between would drop a term that has no job yet.
    with engine.begin() as connection:
        is_new = connection.execute(_ADD, _row(query, is_watched=False)).rowcount > 0
        add_jobs(connection, [query.term], priority)
    return is_new


@retried
def watch_term(engine: Engine, search: str) -> str:
    """Track a search that no playlist needs; its normalized form.

    Raises:
        InvalidInputError: it is no search.
    """
    query = parse_query(search)
    with engine.begin() as connection:
        connection.execute(_ADD, _row(query, is_watched=True))
    return query.term


@retried
def unwatch_term(engine: Engine, search: str) -> str:
    """Stop watching a search; the next sync drops it unless a playlist uses it.

    Raises:
        InvalidInputError: it is no search.
        NotFoundError: it is not watched.
    """
    term = parse_query(search).term
    statement = text("UPDATE search_terms SET is_watched = false WHERE term = :term AND is_watched")
    with engine.begin() as connection:
        if not connection.execute(statement, {"term": term}).rowcount:
            raise NotFoundError(f"{term!r} is not watched")
    return term


def tracked_terms(engine: Engine) -> list[str]:
    """All tracked terms, in order."""
    with engine.connect() as connection:
        return list(connection.scalars(text("SELECT term FROM search_terms ORDER BY term")))
