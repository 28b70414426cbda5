"""Counting posts from their text: by a pass over whole days, or by a query of each search.

Both offer the matching posts to the pools.
"""

from collections import defaultdict
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
from sqlalchemy import Connection

from sorafeed_assets.domain.catalog.automaton import Rows
from sorafeed_assets.domain.catalog.search import SearchQuery
from sorafeed_assets.domain.counts.counting import SHAPES, TermMatcher
from sorafeed_assets.domain.counts.pools import PoolGatherer
from sorafeed_assets.services.counts.tallies import CountRow, column, count_rows, tally_of
from sorafeed_assets.storage.catalog import estimates
from sorafeed_assets.storage.catalog.stream import Chunk, read_ahead, stream_day, stream_matches

# Reading and matching text costs about this many times the planner's cost of reading it.
_PASS_FACTOR: Final = 3.0


@dataclass(frozen=True, slots=True)
class CountedDay:
    """A day whose text was read: the number of its posts, and its counts."""

    day: date
    posts: int
    rows: list[CountRow]


def queries_are_cheaper(connection: Connection, queries: Sequence[SearchQuery]) -> bool:
    """Whether finding the posts of queries costs less than a pass over the catalogue."""
    limit = _PASS_FACTOR * estimates.cost_of_reading_all(connection)
    cost = 0.0
    for query in queries:
        cost += estimates.cost_of_matching(connection, query)
        if cost > limit:
            return False
    return True


def count_by_query(
    connection: Connection, query: SearchQuery, gatherer: PoolGatherer, terms: Sequence[str]
) -> list[CountRow]:
    """Find the posts of a query; the ``terms`` are those of the gatherer."""
    tally: dict[date, Any] = defaultdict(lambda: np.zeros(len(SHAPES), dtype=np.int64))
    for chunk in stream_matches(connection, query):
        days, of_rows = chunk.days()
        rows = np.arange(len(chunk))
        for day, by_shape in zip(days, tally_of(days, of_rows, rows, chunk.shapes), strict=True):
            tally[day] += by_shape
        numbers = np.full(len(chunk), terms.index(query.term), dtype=np.int64)
        _offer(gatherer, numbers, rows, chunk)
    return [
        row
        for day, by_shape in sorted(tally.items())
        for row in count_rows([query], day, by_shape[None, :])
    ]


def count_days(
    connection: Connection,
    passes: Sequence[tuple[date, Sequence[SearchQuery]]],
    gatherer: PoolGatherer,
    terms: Sequence[str],
) -> Generator[CountedDay, None, None]:
    """Read the text of days, each for its queries; the ``terms`` are those of the gatherer."""
    number_of = {term: number for number, term in enumerate(terms)}
    matchers: dict[int, tuple[TermMatcher, Rows]] = {}
    for _, queries in passes:
        if id(queries) not in matchers:
            numbers = column([number_of[query.term] for query in queries])
            matchers[id(queries)] = (TermMatcher(queries), numbers)
    tally, posts = np.zeros(0, dtype=np.int64), 0
    # Postgres and decoding use one core, matching the other.
    with closing(read_ahead(_chunks(connection, [day for day, _ in passes]))) as chunks:
        for number, chunk in chunks:
            day, queries = passes[number]
            matcher, numbers = matchers[id(queries)]
            if not posts:
                tally = np.zeros((len(queries), len(SHAPES)), dtype=np.int64)
            if chunk is None:
                yield CountedDay(day, posts, list(count_rows(queries, day, tally)))
                posts = 0
                continue
            posts += len(chunk)
            found, rows = matcher.match(chunk.data, chunk.starts, chunk.ends)
            tally += tally_of(queries, found, rows, chunk.shapes)
            _offer(gatherer, numbers[found], rows, chunk)


def _chunks(
    connection: Connection, days: Sequence[date]
) -> Generator[tuple[int, Chunk | None], None, None]:
    """(number of the day, chunk), and None at the end of a day."""
    for number, day in enumerate(days):
        for chunk in stream_day(connection, day):
            yield number, chunk
        yield number, None


def _offer(gatherer: PoolGatherer, numbers: Rows, rows: Rows, chunk: Chunk) -> None:
    gatherer.add(
        numbers,
        rows,
        shapes=chunk.shapes,
        posted_at=chunk.posted_at,
        hashes=chunk.hashes,
        ids=chunk.post_id,
    )
