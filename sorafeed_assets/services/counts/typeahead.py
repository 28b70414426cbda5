"""How many posts match what somebody is typing: exact when it is known or small, never late."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from psycopg.errors import QueryCanceled
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from sorafeed_assets.domain.catalog.search import Format, parse_query
from sorafeed_assets.services.counts.jobs import Priority
from sorafeed_assets.services.counts.terms import track_term
from sorafeed_assets.storage.cache.snapshots import total
from sorafeed_assets.storage.catalog.match_rule import MATCHES, match_parameters

MOST_COUNTED: Final = 10_000
_MILLISECONDS: Final = 250

_BOUNDED: Final = f"""
SELECT count(*) FROM (
    SELECT FROM sora_posts
    WHERE {MATCHES} AND (:format = 'mixed' OR size_class = :format)
    LIMIT :most + 1
) AS first
"""


class Exactness(StrEnum):
    """What a count says."""

    EXACT = "exact"
    AT_LEAST = "at_least"


@dataclass(frozen=True, slots=True)
class Preview:
    """A count by its normalized term; ``is_tracked`` when the exact figure is kept or follows."""

    term: str
    format: Format
    total: int
    exactness: Exactness
    is_tracked: bool


def preview_count(
    engine: Engine,
    search: str,
    format_: Format,
    *,
    milliseconds: int = _MILLISECONDS,
    on_tracked: Callable[[], None] = lambda: None,
) -> Preview:
    """Count within a bounded query; what is more than that is tracked and counted by a job.

    ``on_tracked`` is called when the search was not tracked before.

    Raises:
        InvalidInputError: ``search`` is no search.
    """
    query = parse_query(search, "search")
    with engine.begin() as connection:
        known = total(connection, query.term, format_)
        if known is not None:
            return Preview(query.term, format_, known, Exactness.EXACT, is_tracked=True)
        values = {**match_parameters(query), "format": format_.value, "most": MOST_COUNTED}
        try:
            with connection.begin_nested():
                connection.execute(text(f"SET LOCAL statement_timeout = {int(milliseconds)}"))
                found = int(connection.scalar(text(_BOUNDED), values) or 0)
        except OperationalError as error:
            if not isinstance(error.orig, QueryCanceled):
                raise
            found = None
    if found is not None and found <= MOST_COUNTED:
        return Preview(query.term, format_, found, Exactness.EXACT, is_tracked=False)
    if track_term(engine, query, Priority.LOOKED_AT):
        on_tracked()
    least = 0 if found is None else MOST_COUNTED + 1
    return Preview(query.term, format_, least, Exactness.AT_LEAST, is_tracked=True)
