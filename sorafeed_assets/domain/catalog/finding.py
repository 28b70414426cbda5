"""The pass over the texts with an automaton, as machine code.

A module of its own, which `domain.counts.counting` imports when it searches first: importing Numba
takes longer than all that a process needs to serve players.
"""

import numpy as np
from numpy.typing import NDArray

from sorafeed_assets.domain.catalog.automaton import Automaton, Grouped, Rows
from sorafeed_assets.domain.catalog.compiled import compiled


@compiled
def _words_of(
    automaton: Automaton, text: NDArray[np.uint8], row: int, seen: Rows, hits: Rows
) -> int:
    """Write the words of a text to ``hits``, each once; returns how many."""
    columns, table, word_column, _ = automaton
    found = 0
    state = np.uint32(0)
    for byte in text:
        state = table[(state >> 1) + columns[byte]]
        if not state & 1:
            continue
        at = state >> 1
        while at:
            word = np.int64(table[at + word_column]) - 1
            if word >= 0:
                if seen[word] == row:
                    break  # and so are all that end within it
                seen[word] = row
                hits[found] = word
                found += 1
            at = table[at + word_column + 1]
    return found


@compiled
def _has_any(words_of: Grouped, query: int, row: int, seen: Rows) -> bool:
    """Whether the text contains one of a query's words."""
    for at in range(words_of.begins[query], words_of.begins[query + 1]):
        if seen[words_of.values[at]] == row:
            return True
    return False


@compiled
def find(
    automaton: Automaton,
    queries_of: Grouped,
    exclusions_of: Grouped,
    cells: NDArray[np.uint8],
    starts: Rows,
    ends: Rows,
) -> tuple[Rows, Rows]:
    """Which texts match which queries: (numbers of queries, numbers of texts), in parallel.

    Args:
        automaton: the phrases and the exclusions of all queries.
        queries_of: word → the queries whose phrase it is.
        exclusions_of: query → the words that must not be in the text.
        cells: bytes that contain the texts, and any bytes between them.
        starts: where each text begins in ``cells``.
        ends: where each text ends.
    """
    queries = np.empty(1024, dtype=np.int64)
    rows = np.empty(1024, dtype=np.int64)
    size = 0
    # A word counts once per text: this is the last text that contained it.
    seen = np.full(automaton.words, -1, dtype=np.int64)
    hits = np.empty(automaton.words, dtype=np.int64)
    for row in range(len(starts)):
        found = _words_of(automaton, cells[starts[row] : ends[row]], row, seen, hits)
        for word in hits[:found]:
            for at in range(queries_of.begins[word], queries_of.begins[word + 1]):
                query = queries_of.values[at]
                if _has_any(exclusions_of, query, row, seen):
                    continue
                if size == len(queries):
                    queries = np.concatenate((queries, np.empty(size, dtype=np.int64)))
                    rows = np.concatenate((rows, np.empty(size, dtype=np.int64)))
                queries[size] = query
                rows[size] = row
                size += 1
    return queries[:size], rows[:size]
