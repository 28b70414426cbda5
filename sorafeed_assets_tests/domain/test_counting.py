"""One pass for all terms agrees with matching text by text."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sorafeed_assets.domain.counting import TermMatcher, counts_by_format, first_k
from sorafeed_assets.domain.search import Format, SearchQuery, fold, matches

_letters = st.sampled_from("abé %_\\-\t😀א")
_words = st.text(_letters, min_size=1, max_size=3).map(fold)
_queries = st.builds(SearchQuery, _words, st.lists(_words, max_size=2, unique=True).map(tuple))


@settings(max_examples=300)
@given(
    st.lists(st.text(_letters, max_size=12).map(fold), max_size=12),
    st.lists(_queries, max_size=8),
    st.binary(max_size=3),
)
def test_matching(texts: list[str], queries: list[SearchQuery], between: bytes) -> None:
    data, starts, ends = b"", [], []
    for text in texts:
        data += between  # may look like a match, but lies outside the texts
        starts.append(len(data))
        data += text.encode()
        ends.append(len(data))
    found = dict(
        TermMatcher(queries).match(
            data, np.array(starts, dtype=np.int64), np.array(ends, dtype=np.int64)
        )
    )
    expected = {
        index: [row for row, text in enumerate(texts) if matches(query, text)]
        for index, query in enumerate(queries)
    }
    assert {index: rows.tolist() for index, rows in found.items()} == {
        index: rows for index, rows in expected.items() if rows
    }


def test_formats() -> None:
    assert counts_by_format([3, 2, 1]) == {Format.MIXED: 6, Format.WIDE: 3, Format.TALL: 2}


@given(st.lists(st.integers(-5, 5)), st.integers(1, 6))
def test_the_first_k_and_their_ties(values: list[int], k: int) -> None:
    chosen = [values[index] for index in first_k(np.array(values, dtype=np.int64), k)]
    limit = sorted(values)[k - 1] if len(values) >= k else 5
    assert sorted(chosen) == sorted(value for value in values if value <= limit)
