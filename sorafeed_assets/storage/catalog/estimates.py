"""The cost of finding the posts of a term, as PostgreSQL's planner estimates it."""

from typing import Any, Final

from sqlalchemy import Connection, text

from sorafeed_assets.domain.catalog.search import SearchQuery
from sorafeed_assets.storage.catalog.match_rule import MATCHES, match_parameters

_MATCHING: Final = f"SELECT id FROM sora_posts WHERE {MATCHES}"
_READ_ALL: Final = "SELECT id, lower(text) FROM sora_posts"


def cost_of_matching(connection: Connection, query: SearchQuery) -> float:
    """The planner's cost of reading every post that matches, as `stream_matches` does."""
    return _cost(connection, _MATCHING, match_parameters(query))


def cost_of_reading_all(connection: Connection) -> float:
    """The planner's cost of reading the lower-cased text of every post."""
    return _cost(connection, _READ_ALL, {})


def _cost(connection: Connection, statement: str, parameters: dict[str, Any]) -> float:
    plan = connection.scalar(text(f"EXPLAIN (FORMAT JSON) {statement}"), parameters)
    return float(plan[0]["Plan"]["Total Cost"])
