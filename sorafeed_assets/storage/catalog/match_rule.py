"""The match rule as SQL: one predicate for counts, candidates, previews and checks."""

from typing import Any, Final

from sorafeed_assets.domain.catalog.search import SearchQuery, like_pattern

# Takes the parameters of `match_parameters`; can use the search index.
MATCHES: Final = "text ILIKE :phrase AND NOT text ILIKE ANY(CAST(:exclusions AS text[]))"


def match_parameters(query: SearchQuery) -> dict[str, Any]:
    """The parameters of `MATCHES`."""
    return {
        "phrase": like_pattern(query.phrase),
        "exclusions": [like_pattern(word) for word in query.exclusions],
    }
