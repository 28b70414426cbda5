"""Counts for a search while it is typed: exact if known or small, within a time limit."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import Engine

from sorafeed_assets.domain.catalog.search import Format, parse_query
from sorafeed_assets.services.counts.priority import Priority
from sorafeed_assets.services.counts.terms import track_term
from sorafeed_assets.storage.cache.snapshots import total
from sorafeed_assets.storage.catalog.bounded_count import count_up_to
from sorafeed_assets.storage.lists import is_term_tracked

MOST_COUNTED: Final = 10_000
_MILLISECONDS: Final = 250


class Exactness(StrEnum):
    """Whether a count is exact."""

    EXACT = "exact"
    AT_LEAST = "at_least"


@dataclass(frozen=True, slots=True)
class CountPreview:
    """A count of a normalized term; ``is_tracked`` when its exact count is kept or follows."""

    term: str
    format: Format
    total: int
    exactness: Exactness
    is_tracked: bool

    @property
    def is_known(self) -> bool:
        """Whether the count is kept, and was not made for this request."""
        return self.is_tracked and self.exactness is Exactness.EXACT


def preview_count(
    engine: Engine,
    search: str,
    format_: Format,
    *,
    may_track: bool,
    on_tracked: Callable[[], None] = lambda: None,
) -> CountPreview:
    """Count with a bounded query; a search that exceeds the bounds may be tracked.

    Args:
        engine: the database.
        search: the typed text.
        format_: which shapes of video count.
        may_track: whether to track the search, so that its exact count follows.
        on_tracked: called when the search was not tracked before.

    Raises:
        InvalidInputError: ``search`` is not a valid search.
    """
    query = parse_query(search, "search")
    with engine.begin() as connection:
        known = total(connection, query.term, format_)
        if known is not None:
            return CountPreview(query.term, format_, known, Exactness.EXACT, is_tracked=True)
        found = count_up_to(connection, query, format_, MOST_COUNTED, _MILLISECONDS)
        if found is not None and found <= MOST_COUNTED:
            return CountPreview(query.term, format_, found, Exactness.EXACT, is_tracked=False)
        is_tracked = is_term_tracked(connection, query.term)
    if may_track:
        # A tracked term is requested again, which raises its priority.
        if track_term(engine, query, Priority.LOOKED_AT):
            on_tracked()
        is_tracked = True
    least = 0 if found is None else MOST_COUNTED + 1
    return CountPreview(query.term, format_, least, Exactness.AT_LEAST, is_tracked)
