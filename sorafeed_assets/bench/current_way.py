"""The baseline: how the replaced system counts and fills a playlist.

Its writes (SQLite rows, one at a time) are left out, in its favour.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from sqlalchemy import Connection, Engine

from sorafeed_assets.domain.catalog.search import Format, SearchQuery, parse_query
from sorafeed_assets.domain.playlists.playlist import BlockDraft, FetchMode
from sorafeed_assets.storage.benchmarks.current_way import at_offset, newest
from sorafeed_assets.storage.benchmarks.current_way import count as count

_COUNTS_AT_ONCE: Final = 2
_TRIES: Final = 3


def count_all(
    engine: Engine,
    wanted: Sequence[tuple[str, Format]],
    on_done: Callable[[], None] = lambda: None,
) -> dict[tuple[str, str], int]:
    """Run all of these counts, two at a time."""

    def one(key: tuple[str, Format]) -> int:
        with engine.connect() as connection:
            found = count(connection, parse_query(key[0]), key[1])
        on_done()
        return found

    with ThreadPoolExecutor(_COUNTS_AT_ONCE) as pool:
        found = list(pool.map(one, wanted))
    return {(term, format_.value): n for (term, format_), n in zip(wanted, found, strict=True)}


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
    found: list[str] = []
    taken = set(used)
    for _ in range(size):
        for _ in range(_TRIES):
            offset = rng.randrange(matching)
            post = at_offset(connection, query, format_, offset)
            if post is not None and post not in taken:
                taken.add(post)
                found.append(post)
                break
    return found


def timeline(
    engine: Engine, blocks: Sequence[BlockDraft], rng: random.Random
) -> list[tuple[BlockDraft, str]]:
    """What a playlist plays: (block, post id), block by block, each in its own transaction.

    When too few are found, it queries without exclusions, then without history, then with repeats.
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
