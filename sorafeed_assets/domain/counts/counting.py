"""Which texts match which terms, and counts per term and format."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from sorafeed_assets.domain.catalog.automaton import Rows, build_automaton, grouped
from sorafeed_assets.domain.catalog.search import Format, SearchQuery, SizeClass

# The order in which shapes are numbered in arrays.
SHAPES: Final = (SizeClass.WIDE, SizeClass.TALL, SizeClass.OTHER)


class TermMatcher:
    """Finds, in one pass over lower-cased text, which rows match which queries."""

    def __init__(self, queries: Sequence[SearchQuery]) -> None:
        words = sorted({word for query in queries for word in (query.phrase, *query.exclusions)})
        number = {word: index for index, word in enumerate(words)}
        queries_of: list[list[int]] = [[] for _ in words]
        for index, query in enumerate(queries):
            queries_of[number[query.phrase]].append(index)
        self._automaton = build_automaton([word.encode() for word in words])
        self._queries_of = grouped(queries_of)
        self._exclusions_of = grouped(
            [[number[word] for word in query.exclusions] for query in queries]
        )

    def match(self, chunk: bytes, starts: Rows, ends: Rows) -> tuple[Rows, Rows]:
        """Which rows of a chunk match, as parallel arrays: (indexes of queries, row numbers).

        ``starts`` and ``ends`` bound each row's text in ``chunk``, in bytes; what lies between
        texts is skipped. A pair occurs once; rows ascend.
        """
        from sorafeed_assets.domain.catalog.finding import find

        cells = np.frombuffer(chunk, dtype=np.uint8)
        return find(self._automaton, self._queries_of, self._exclusions_of, cells, starts, ends)


def join_texts(texts: Sequence[str]) -> tuple[bytes, Rows, Rows]:
    """Texts as `TermMatcher.match` takes them."""
    encoded = [text.encode() for text in texts]
    # A phrase never contains a line feed, so a match cannot span two texts.
    lengths = np.array([len(text) for text in encoded], dtype=np.int64)
    ends = np.cumsum(lengths + 1) - 1
    return b"\n".join(encoded), ends - lengths, ends


def counts_by_format(by_shape: Sequence[int]) -> dict[Format, int]:
    """Counts per format out of counts per shape, in the order of `SHAPES`."""
    wide, tall, other = (int(count) for count in by_shape)
    return {Format.MIXED: wide + tall + other, Format.WIDE: wide, Format.TALL: tall}
