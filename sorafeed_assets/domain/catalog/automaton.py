"""The automaton that finds many words in many texts in one pass; `finding` has the pass.

Aho and Corasick, "Efficient string matching" (1975). It is implemented here instead of by a
library, which returns a Python object per hit: that costs ten times the search itself.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sorafeed_assets.domain.errors import InvalidInputError

Rows = NDArray[np.int64]


class Automaton(NamedTuple):
    """The words as one automaton, in flat arrays.

    Attributes:
        columns: byte → its column in ``table``; bytes that are in no word share column 0.
        table: a row per state. A byte's transition is stored as twice the offset of the next
            state's row, plus one if a word ends there: a step is then one addition.
            After the byte columns come the word that equals this state, plus one, or 0,
            and the offset of the longest shorter state that is a word, or 0.
        word_column: the column of the word in a row.
        words: how many there are.
    """

    columns: NDArray[np.uint8]
    table: NDArray[np.uint32]
    word_column: int
    words: int


class Grouped(NamedTuple):
    """Concatenated lists of numbers: list ``i`` is ``values[begins[i]:begins[i + 1]]``."""

    begins: Rows
    values: Rows


def grouped(lists: Sequence[Sequence[int]]) -> Grouped:
    """Lists as flat arrays."""
    begins = np.zeros(len(lists) + 1, dtype=np.int64)
    np.cumsum([len(one) for one in lists], out=begins[1:])
    values = np.array([value for one in lists for value in one], dtype=np.int64)
    return Grouped(begins, values)


def build_automaton(words: Sequence[bytes]) -> Automaton:
    """Build the automaton of these words, which must be non-empty and distinct.

    Raises:
        InvalidInputError: too many words for one automaton: some ten megabytes.
    """
    columns = np.zeros(256, dtype=np.uint8)
    # UTF-8 never uses some bytes, so the columns do not run out.
    used = sorted(set().union(*words))
    columns[used] = np.arange(1, len(used) + 1)
    children, word_at = _trie(words)
    width = len(used) + 3
    if 2 * width * len(children) >= 2**32:
        raise InvalidInputError("terms", "are too many to search for at once; track fewer")
    following = np.zeros((len(children), len(used) + 1), dtype=np.int64)
    fallback = np.zeros(len(children), dtype=np.int64)
    shorter = np.zeros(len(children), dtype=np.int64)
    for state, by_byte in enumerate(children):
        if state:
            following[state] = following[fallback[state]]
        for byte, child in by_byte.items():
            fallback[child] = behind = following[state, columns[byte]]
            shorter[child] = behind if word_at[behind] else shorter[behind]
            following[state, columns[byte]] = child
    ends = (word_at > 0) | (shorter > 0)
    table = np.column_stack((2 * width * following + ends[following], word_at, width * shorter))
    return Automaton(columns, table.astype(np.uint32).ravel(), len(used) + 1, len(words))


def _trie(words: Sequence[bytes]) -> tuple[list[dict[int, int]], Rows]:
    """Per state its children by byte, and the number (from 1) of the word it equals, or 0.

    The states nearest to the root come first: they are visited most, and are adjacent in memory.
    """
    children: list[dict[int, int]] = [{}]
    at = np.zeros(len(words), dtype=np.int64)
    for depth in range(max(map(len, words), default=0)):
        for number, word in enumerate(words):
            if depth < len(word):
                known = children[at[number]]
                if word[depth] not in known:
                    known[word[depth]] = len(children)
                    children.append({})
                at[number] = known[word[depth]]
    word_at = np.zeros(len(children), dtype=np.int64)
    word_at[at] = np.arange(1, len(words) + 1)
    return children, word_at
