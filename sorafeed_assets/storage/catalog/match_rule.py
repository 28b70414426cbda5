"""The match rule as SQL: one predicate for counts, candidates, previews and checks.

An excluded post matches nothing, see `storage.catalog.blocklist`.
"""

from typing import Any, Final

from psycopg import sql

from sorafeed_assets.domain.catalog.search import SearchQuery, like_pattern
from sorafeed_assets.storage.catalog.blocklist import is_excluded
from sorafeed_assets.storage.postgres.engine import BY_VALUE

_HAS_WORDS: Final = (
    f"text ILIKE :phrase AND NOT text ILIKE ANY(CAST(:exclusions AS text[])) {BY_VALUE}"
)

# These take the parameters of `match_parameters`, and can use the search index.
MATCHES: Final = f"{_HAS_WORDS} AND NOT {is_excluded('id', 'creator_id')}"
COUNTED_MATCHES: Final = (
    f"{_HAS_WORDS} AND NOT {is_excluded('id', 'creator_id', 'counted_blocklist')}"
)
"""`MATCHES` by the blocklist that counts and pools follow now."""


def matches_sql(query: SearchQuery) -> sql.Composed:
    """`MATCHES` with its values, for statements that take no parameters, such as COPY."""
    values = match_parameters(query)
    written = MATCHES.replace(":phrase", "{phrase}").replace(":exclusions", "{exclusions}")
    return sql.SQL(written).format(**{name: sql.Literal(values[name]) for name in values})


def match_parameters(query: SearchQuery) -> dict[str, Any]:
    """The parameters of `MATCHES`."""
    return {
        "phrase": like_pattern(query.phrase),
        "exclusions": [like_pattern(word) for word in query.exclusions],
    }
