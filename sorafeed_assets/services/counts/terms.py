"""Which searches are tracked: those of all playlists, and the watched ones.

Tracking is incremental: settling a display reads only the searches of its own playlists. Counting
the new ones is `services.counts.jobs`.
"""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, Engine

from sorafeed_assets.domain.catalog.search import SearchQuery, parse_query
from sorafeed_assets.domain.digest import SetDigest
from sorafeed_assets.domain.errors import InvalidInputError, NotFoundError
from sorafeed_assets.services.counts.lineage import TERMS, counts_changes, pools_change
from sorafeed_assets.services.counts.priority import Priority
from sorafeed_assets.storage.counts import terms as stored
from sorafeed_assets.storage.counts.jobs import add_jobs
from sorafeed_assets.storage.lineage_records import (
    BY_EVENT,
    WHOLE,
    Change,
    head_version,
    hold_asset,
    write_changes,
)
from sorafeed_assets.storage.postgres.retry import retried


@dataclass(frozen=True, slots=True)
class TermsSync:
    """The changes of the tracked terms; ``problems`` name blocks with an invalid search."""

    added: int
    removed: int
    problems: tuple[str, ...] = ()

    @property
    def is_change(self) -> bool:
        """Whether the tracked terms changed."""
        return bool(self.added or self.removed)


@retried
def sync_search_terms(engine: Engine) -> TermsSync:
    """Track the searches of all playlists, and drop terms that nothing uses or watches."""
    with engine.begin() as connection:
        return follow_terms(connection, None)


def follow_terms(connection: Connection, display_ids: Collection[str] | None) -> TermsSync:
    """Track the searches of the playlists of these displays, or of all.

    New terms get a count job. A term that is no longer used is dropped, unless a count is in
    progress: then a later call for all displays drops it.
    """
    wanted, pairs, problems = _wanted(connection, display_ids)
    before = stored.used_terms(connection, display_ids)
    come, gone = pairs - before, before - pairs
    new = set(wanted) - set(stored.tracked(connection, wanted))
    if not (come or gone or new or display_ids is None):
        return TermsSync(0, 0, problems)
    hold_asset(connection, TERMS)
    stored.set_used(connection, come, gone)
    added = stored.add_terms(connection, [wanted[term] for term in new])
    if new:
        add_jobs(connection, new, int(Priority.PLAYED))
    removed = _drop_unused(connection, None if display_ids is None else {t for _, t in gone})
    if display_ids is None:
        write_changes(connection, [terms_change(connection, len(added), len(removed))])
    elif added or removed:
        _record(connection, added, removed)
    return TermsSync(len(added), len(removed), problems)


def _record(connection: Connection, added: Collection[str], removed: Collection[str] = ()) -> None:
    """Record a change of `search_terms`, without reading unchanged terms.

    The caller holds the asset's lock, so the last record is the state before the change.
    """
    before = SetDigest.parse(head_version(connection, TERMS))
    if before is None:
        change = terms_change(connection, len(added), len(removed))
    else:
        change = _change(before.changed(added, removed), len(added), len(removed))
    write_changes(connection, [change])


def terms_change(connection: Connection, added: int = 0, removed: int = 0) -> Change:
    """The lineage change of `search_terms`; its data version is a digest of the terms."""
    return _change(SetDigest().changed(stored.tracked(connection), ()), added, removed)


def _change(digest: SetDigest, added: int, removed: int) -> Change:
    return Change(
        TERMS,
        WHOLE,
        str(digest),
        {"playlists": BY_EVENT},
        {"dagster/row_count": digest.size, "added": added, "removed": removed},
    )


def _wanted(
    connection: Connection, display_ids: Collection[str] | None
) -> tuple[dict[str, SearchQuery], set[tuple[str, str]], tuple[str, ...]]:
    wanted: dict[str, SearchQuery] = {}
    pairs: set[tuple[str, str]] = set()
    problems: list[str] = []
    parsed: dict[str, SearchQuery] = {}
    for display, playlist, order, search in stored.searches_of(connection, display_ids):
        try:
            query = parsed.get(search) or parse_query(search)
        except InvalidInputError as error:
            problems.append(f"playlist {playlist}, block {order}: {error}")
        else:
            parsed[search] = wanted[query.term] = query
            pairs.add((display, query.term))
    return wanted, pairs, tuple(problems)


def _drop_unused(connection: Connection, terms: Collection[str] | None) -> list[str]:
    """Remove the unused of ``terms``, or of all, and record the removal of their counts."""
    unused = stored.unused(connection, terms) if terms is None or terms else []
    if not unused:
        return []
    if not stored.keep_counting_away(connection):
        return []
    removed = stored.remove_terms(connection, unused)
    if removed:
        write_changes(connection, [*counts_changes(connection, None), pools_change(connection)])
    return removed


@retried
def track_term(engine: Engine, query: SearchQuery, priority: int) -> bool:
    """Track a search; it may be dropped once it is counted and nothing uses or watches it.

    Returns True when it was not tracked before.
    """
    with engine.begin() as connection:
        return _track(connection, query, priority)


def _track(connection: Connection, query: SearchQuery, priority: int) -> bool:
    hold_asset(connection, TERMS)
    added = stored.add_terms(connection, [query])
    if added:
        _record(connection, added)
    add_jobs(connection, [query.term], priority)
    return bool(added)


@retried
def watch_term(engine: Engine, search: str) -> str:
    """Track a search that no playlist needs, and queue its count; returns its normalized form.

    Raises:
        InvalidInputError: it is not a valid search.
    """
    query = parse_query(search)
    with engine.begin() as connection:
        _track(connection, query, int(Priority.LOOKED_AT))
        stored.watch(connection, query.term)
    return query.term


@retried
def unwatch_term(engine: Engine, search: str) -> str:
    """Stop watching a search; it is dropped unless a playlist uses it.

    Raises:
        InvalidInputError: it is not a valid search.
        NotFoundError: it is not watched.
    """
    term = parse_query(search).term
    with engine.begin() as connection:
        hold_asset(connection, TERMS)
        if not stored.unwatch(connection, term):
            raise NotFoundError(f"{term!r} is not watched")
        if removed := _drop_unused(connection, {term}):
            _record(connection, (), removed)
    return term


def tracked_terms(engine: Engine) -> list[str]:
    """All tracked terms, in order."""
    with engine.connect() as connection:
        return stored.tracked(connection)
