"""The cost of counting a term, as PostgreSQL's planner estimates it."""

from typing import Any, Final

from sqlalchemy import Connection, text

from sorafeed_assets.domain.catalog.search import SearchQuery
from sorafeed_assets.storage.catalog.match_rule import MATCHES, match_parameters

_COUNT_TERM: Final = f"""
SELECT catalog_day(indexed_at),
       count(*) FILTER (WHERE size_class = 'wide'),
       count(*) FILTER (WHERE size_class = 'tall'),
       count(*) FILTER (WHERE size_class = 'other')
FROM sora_posts WHERE {MATCHES} GROUP BY 1
"""
_READ_ALL: Final = "SELECT id, lower(text) FROM sora_posts"


def count_term_by_day(connection: Connection, query: SearchQuery) -> list[Any]:
    """(day, wide, tall, other) of every catalog day with a match, by the search index."""
    return list(connection.execute(text(_COUNT_TERM), match_parameters(query)))


def cost_of_counting(connection: Connection, query: SearchQuery) -> float:
    """The planner's cost of `count_term_by_day`."""
    return _cost(connection, _COUNT_TERM, match_parameters(query))


def cost_of_reading_all(connection: Connection) -> float:
    """The planner's cost of reading the lower-cased text of every post."""
    return _cost(connection, _READ_ALL, {})


def _cost(connection: Connection, statement: str, parameters: dict[str, Any]) -> float:
    plan = connection.scalar(text(f"EXPLAIN (FORMAT JSON) {statement}"), parameters)
    return float(plan[0]["Plan"]["Total Cost"])
