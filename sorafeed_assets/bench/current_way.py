"""The baseline: the queries of the system that this one replaces, as it asks them.

Only its patterns are escaped like ours, so that both sides count the same; and what it writes
(SQLite rows, one at a time) is left out, in its favour.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from sqlalchemy import Connection, Engine, text

from sorafeed_assets.domain.catalog.search import Format, SearchQuery, like_pattern, parse_query
from sorafeed_assets.domain.playlists.playlist import BlockDraft, FetchMode

_COUNTS_AT_ONCE: Final = 2
_TRIES: Final = 3

# Its predicate is glued together per query; these are the pieces it is glued from.
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


def count_all(
    engine: Engine,
    wanted: Sequence[tuple[str, Format]],
    on_done: Callable[[], None] = lambda: None,
) -> dict[tuple[str, str], int]:
    """All of these counts, two at a time."""

    def one(key: tuple[str, Format]) -> int:
        with engine.connect() as connection:
            found = count(connection, parse_query(key[0]), key[1])
        on_done()
        return found

    with ThreadPoolExecutor(_COUNTS_AT_ONCE) as pool:
        found = list(pool.map(one, wanted))
    return {(term, format_.value): n for (term, format_), n in zip(wanted, found, strict=True)}


def newest(
    connection: Connection, query: SearchQuery, format_: Format, size: int, used: Iterable[str]
) -> list[str]:
    """The newest ``size`` matches that were not played or queued."""
    where, parameters = _where(query, format_)
    statement = text(
        f"{_VIDEO} WHERE {where} AND NOT (p.id = ANY(:used)) ORDER BY p.posted_at DESC LIMIT :size"
    )
    rows = connection.execute(statement, {**parameters, "used": list(used), "size": size})
    return [row.id for row in rows]


def at_random(
    connection: Connection,
    query: SearchQuery,
    format_: Format,
    size: int,
    used: Iterable[str],
    rng: random.Random,
) -> list[str]:
    """``size`` matches, each by up to three tries at a random offset."""
    matching = count(connection, query, format_)
    if not matching:
        return []
    where, parameters = _where(query, format_)
    statement = text(f"{_VIDEO} WHERE {where} ORDER BY p.posted_at DESC LIMIT 1 OFFSET :offset")
    found: list[str] = []
    taken = set(used)
    for _ in range(size):
        for _ in range(_TRIES):
            offset = rng.randrange(matching)
            row = connection.execute(statement, {**parameters, "offset": offset}).first()
            if row is not None and row.id not in taken:
                taken.add(row.id)
                found.append(row.id)
                break
    return found


def timeline(
    engine: Engine, blocks: Sequence[BlockDraft], rng: random.Random
) -> list[tuple[BlockDraft, str]]:
    """What a playlist plays: (block, post id), block by block, each in its own transaction.

    Too few found: asked again without exclusions, then without the history, then with repeats.
    """
    plan: list[tuple[BlockDraft, str]] = []
    for block in blocks:
        query = parse_query(block.search_term)
        without_exclusions = SearchQuery(query.phrase)
        used = [post for _, post in plan]
        with engine.begin() as connection:
            found = _fill(connection, query, block, used, rng)
            if len(found) < block.video_count and query.exclusions:
                found += _fill(connection, without_exclusions, block, [*used, *found], rng)
            if len(found) < block.video_count:
                found += _fill(connection, query, block, found, rng)
        while found and len(found) < block.video_count:
            found.append(found[len(found) % len(set(found))])
        plan += [(block, post) for post in found[: block.video_count]]
    return plan


def _fill(
    connection: Connection,
    query: SearchQuery,
    block: BlockDraft,
    used: Sequence[str],
    rng: random.Random,
) -> list[str]:
    if block.fetch_mode is FetchMode.NEWEST:
        return newest(connection, query, block.format, block.video_count, used)
    return at_random(connection, query, block.format, block.video_count, used, rng)
