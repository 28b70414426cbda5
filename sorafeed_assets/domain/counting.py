"""Counting: one pass over text for all terms, and the first K of an order."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Final

import numpy as np
from ahocorasick_rs import BytesAhoCorasick, Implementation
from numpy.typing import NDArray

from sorafeed_assets.domain.search import Format, SearchQuery, SizeClass

Rows = NDArray[np.int64]

# The order in which shapes are numbered in arrays.
SHAPES: Final = (SizeClass.WIDE, SizeClass.TALL, SizeClass.OTHER)

# A hit is a Python object for a moment: texts are searched in blocks that need few of them.
_BLOCK_BYTES: Final = 2**18
# A word with more hits than this a text is cheaper to look for text by text.
_FREQUENT: Final = 1.0
_ENOUGH_TEXTS: Final = 200
# A pair of word and row is sorted as one number.
_ROW_BITS: Final = 32
_ROW_MASK: Final = 2**_ROW_BITS - 1
# A table of all transitions is twice as fast as the library's choice, and grows with the words.
_TABLE_BYTES: Final = 200_000


class TermMatcher:
    """Finds, in one pass over lower-cased text, which rows match which queries.

    Aho and Corasick, "Efficient string matching" (1975), by the library ahocorasick_rs. Words
    that turn out to be in nearly every text ("the") leave the automaton, which would report
    each of their places, and are looked for until their first place in each text.
    """

    def __init__(self, queries: Sequence[SearchQuery]) -> None:
        words = {word for query in queries for word in (query.phrase, *query.exclusions)}
        self._words = [word.encode() for word in sorted(words)]
        number = {word: index for index, word in enumerate(sorted(words))}
        self._exclusions = {
            index: [number[word] for word in query.exclusions]
            for index, query in enumerate(queries)
            if query.exclusions
        }
        plain = defaultdict[int, list[int]](list)
        self._phrases = [number[query.phrase] for query in queries]
        for index, phrase in enumerate(self._phrases):
            if index not in self._exclusions:
                plain[phrase].append(index)
        # Nearly always a word is the phrase of one query: those are translated at once.
        self._query_of_word = np.full(len(self._words), -1, dtype=np.int64)
        self._others = list(self._exclusions)
        for phrase, indexes in plain.items():
            self._query_of_word[phrase] = indexes[0]
            self._others += indexes[1:]
        self._frequent: list[int] = []
        self._rare: list[int] = []
        self._look_for(range(len(self._words)))

    def _look_for(self, rare: Sequence[int]) -> None:
        self._rare = list(rare)
        self._numbers = np.array(self._rare, dtype=np.int64)
        words = [self._words[word] for word in self._rare]
        is_small = sum(map(len, words)) <= _TABLE_BYTES
        self._automaton = BytesAhoCorasick(
            words, implementation=Implementation.DFA if is_small else None
        )

    def match(self, chunk: bytes, starts: Rows, ends: Rows) -> tuple[Rows, Rows]:
        """Which rows of a chunk match: (indexes of queries, row numbers), in parallel.

        ``starts`` and ``ends`` bound each row's text in ``chunk``, in bytes, ascending; what lies
        between texts is skipped. A pair comes once; the rows of a query ascend.
        """
        words, rows = self._hits(chunk, starts, ends)
        queries = self._query_of_word[words]
        direct = queries >= 0
        if not self._others:
            return queries[direct], rows[direct]
        found_queries, found_rows = [queries[direct]], [rows[direct]]
        for index in self._others:
            of_query = _of(words, rows, self._phrases[index])
            for word in self._exclusions.get(index, ()):
                if len(of_query):
                    excluded = _of(words, rows, word)
                    of_query = np.setdiff1d(of_query, excluded, assume_unique=True)
            found_queries.append(np.full(len(of_query), index, dtype=np.int64))
            found_rows.append(of_query)
        return np.concatenate(found_queries), np.concatenate(found_rows)

    def _hits(self, chunk: bytes, starts: Rows, ends: Rows) -> tuple[Rows, Rows]:
        """(word, row) of every word in every text, once each, ordered."""
        pairs = [np.empty(0, dtype=np.int64)]
        for first, end in _blocks(starts, ends):
            frequent = list(self._frequent)
            pairs.append(self._rare_hits(chunk, starts[first:end], ends[first:end]) + first)
            spans = (range(first, end), starts[first:end].tolist(), ends[first:end].tolist())
            bounds = list(zip(*spans, strict=True)) if frequent else []
            for word in frequent:
                find, wanted = chunk.find, self._words[word]
                found = [row for row, start, stop in bounds if find(wanted, start, stop) >= 0]
                pairs.append((word << _ROW_BITS) + np.array(found, dtype=np.int64))
        ordered = np.sort(np.concatenate(pairs))
        ordered = ordered[np.diff(ordered, prepend=-1) != 0]
        return ordered >> _ROW_BITS, ordered & _ROW_MASK

    def _rare_hits(self, chunk: bytes, starts: Rows, ends: Rows) -> Rows:
        """The (word, row) pairs, as one number each, of all hits of the automaton."""
        begin = int(starts[0])
        block = memoryview(chunk)[begin : int(ends[-1])]
        hits = self._automaton.find_matches_as_indexes(block, overlapping=True)
        if not hits:
            return np.empty(0, dtype=np.int64)
        flat = np.fromiter(chain.from_iterable(hits), dtype=np.int64, count=3 * len(hits))
        numbers, begins, stops = flat.reshape(-1, 3).T
        rows = np.searchsorted(starts - begin, begins, side="right") - 1
        # A hit may lie in what separates two texts, or reach from one into the next.
        inside = stops <= ends[rows] - begin
        pairs = (self._numbers[numbers[inside]] << _ROW_BITS) + rows[inside]
        if len(starts) >= _ENOUGH_TEXTS:
            self._learn(np.bincount(numbers) > _FREQUENT * len(starts))
        return pairs

    def _learn(self, is_frequent: NDArray[np.bool_]) -> None:
        frequent = self._numbers[np.flatnonzero(is_frequent)].tolist()
        if frequent:
            self._frequent += frequent
            self._look_for([word for word in self._rare if word not in frequent])


def _of(words: Rows, rows: Rows, word: int) -> Rows:
    """The rows of one word; ``words`` ascend."""
    first, end = np.searchsorted(words, [word, word + 1])
    return rows[first:end]


def _blocks(starts: Rows, ends: Rows) -> Iterator[tuple[int, int]]:
    """Ranges of rows whose texts are near each other and not many bytes."""
    first = 0
    while first < len(starts):
        limit = int(starts[first]) + _BLOCK_BYTES
        end = max(int(np.searchsorted(ends, limit, side="right")), first + 1)
        yield first, end
        first = end


def join_texts(texts: Sequence[str]) -> tuple[bytes, Rows, Rows]:
    """Texts as `TermMatcher.match` takes them."""
    encoded = [text.encode() for text in texts]
    # A line feed is in no phrase, so a match cannot reach from one text into the next.
    lengths = np.array([len(text) for text in encoded], dtype=np.int64)
    ends = np.cumsum(lengths + 1) - 1
    return b"\n".join(encoded), ends - lengths, ends


def counts_by_format(by_shape: Sequence[int]) -> dict[Format, int]:
    """Counts per format out of counts per shape, in the order of `SHAPES`."""
    wide, tall, other = (int(count) for count in by_shape)
    return {Format.MIXED: wide + tall + other, Format.WIDE: wide, Format.TALL: tall}
