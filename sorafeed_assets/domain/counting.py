"""Counting: one pass over text for all terms, and the first K of an order."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from ahocorasick_rs import BytesAhoCorasick
from numpy.typing import NDArray

from sorafeed_assets.domain.search import Format, SearchQuery, SizeClass

Rows = NDArray[np.int64]

# The order in which shapes are numbered in arrays.
SHAPES: Final = (SizeClass.WIDE, SizeClass.TALL, SizeClass.OTHER)


class TermMatcher:
    """Finds, in one pass over lower-cased text, which rows match which queries.

    Aho and Corasick, "Efficient string matching" (1975), by the library ahocorasick_rs.
    """

    def __init__(self, queries: Sequence[SearchQuery]) -> None:
        words = {word for query in queries for word in (query.phrase, *query.exclusions)}
        self._words = sorted(words)
        number = {word: index for index, word in enumerate(self._words)}
        self._queries = [
            (number[query.phrase], [number[word] for word in query.exclusions]) for query in queries
        ]
        self._automaton = BytesAhoCorasick([word.encode() for word in self._words])

    def match(self, chunk: bytes, starts: Rows, ends: Rows) -> Iterator[tuple[int, Rows]]:
        """Which rows of a chunk match.

        ``starts`` and ``ends`` bound each row's text in ``chunk``, in bytes, ascending; what lies
        between texts is skipped. Yields (index of the query, row numbers, ascending).
        """
        found = self._rows_by_word(chunk, starts, ends)
        for index, (phrase, exclusions) in enumerate(self._queries):
            rows = found.get(phrase)
            if rows is None:
                continue
            for word in exclusions:
                if word in found:
                    rows = np.setdiff1d(rows, found[word], assume_unique=True)
            if len(rows):
                yield index, rows

    def _rows_by_word(self, chunk: bytes, starts: Rows, ends: Rows) -> Mapping[int, Rows]:
        hits = self._automaton.find_matches_as_indexes(chunk, overlapping=True)
        if not hits or not len(starts):
            return {}
        words, begins, stops = np.array(hits, dtype=np.int64).T
        rows = np.searchsorted(starts, begins, side="right") - 1
        # A hit may lie in what separates two texts, or reach from one into the next.
        inside = (rows >= 0) & (stops <= ends[rows])
        pairs = np.unique(words[inside] * len(starts) + rows[inside])
        if not len(pairs):
            return {}
        words, rows = np.divmod(pairs, len(starts))
        cuts = np.flatnonzero(np.diff(words)) + 1
        groups = np.split(rows, cuts)
        return {int(words[at]): group for at, group in zip((0, *cuts), groups, strict=True)}


def counts_by_format(by_shape: Sequence[int]) -> dict[Format, int]:
    """Counts per format out of counts per shape, in the order of `SHAPES`."""
    wide, tall, other = (int(count) for count in by_shape)
    return {Format.MIXED: wide + tall + other, Format.WIDE: wide, Format.TALL: tall}


def first_k(order: NDArray[np.int64], k: int) -> Rows:
    """The indexes of the ``k`` smallest values, and of all that tie with the last of them."""
    if len(order) <= k:
        return np.arange(len(order), dtype=np.int64)
    limit = np.partition(order, k - 1)[k - 1]
    return np.flatnonzero(order <= limit)
