"""The queries of the replaced system, as it sends them.

Only the patterns are escaped like ours, so that both sides count the same posts.
"""

from collections.abc import Collection
from typing import Final

from sqlalchemy import Connection, text

from sorafeed_assets.domain.catalog.search import Format, SearchQuery, like_pattern

# The replaced system concatenates its predicate per query from these pieces.
_FORMATS: Final = {
    Format.MIXED: "",
    Format.WIDE: " AND p.width > p.height",
    Format.TALL: " AND p.height > p.width",
}
_VIDEO: Final = (
    "SELECT p.*, c.username, c.display_name FROM sora_posts p"
    " LEFT JOIN creators c ON c.id = p.creator_id"
)


def _where(query: SearchQuery, format_: Format) -> tuple[str, dict[str, object]]:
    clauses = "p.text ILIKE :phrase"
    parameters: dict[str, object] = {"phrase": like_pattern(query.phrase)}
    for number, word in enumerate(query.exclusions):
        clauses += f" AND p.text NOT ILIKE :exclusion_{number}"
        parameters[f"exclusion_{number}"] = like_pattern(word)
    return clauses + _FORMATS[format_], parameters


def count(connection: Connection, query: SearchQuery, format_: Format) -> int:
    """How many posts match, counted by reading them."""
    where, parameters = _where(query, format_)
    statement = text(f"SELECT COUNT(*) FROM sora_posts p WHERE {where}")
    return int(connection.scalar(statement, parameters) or 0)


def newest(
    connection: Connection, query: SearchQuery, format_: Format, size: int, used: Collection[str]
) -> list[str]:
    """The newest ``size`` matches that were not played or queued."""
    where, parameters = _where(query, format_)
    statement = text(
        f"{_VIDEO} WHERE {where} AND NOT (p.id = ANY(:used)) ORDER BY p.posted_at DESC LIMIT :size"
    )
    rows = connection.execute(statement, {**parameters, "used": list(used), "size": size})
    return [row.id for row in rows]


def at_offset(
    connection: Connection, query: SearchQuery, format_: Format, offset: int
) -> str | None:
    """The match at an offset of the newest order; None past the last one."""
    where, parameters = _where(query, format_)
    statement = text(f"{_VIDEO} WHERE {where} ORDER BY p.posted_at DESC LIMIT 1 OFFSET :offset")
    row = connection.execute(statement, {**parameters, "offset": offset}).first()
    return None if row is None else str(row.id)
