"""One pass for all terms agrees with matching text by text."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sorafeed_assets.domain.catalog.search import Format, SearchQuery, fold, matches
from sorafeed_assets.domain.counts.counting import TermMatcher, counts_by_format, join_texts

_letters = st.sampled_from("abé %_\\-\t😀א")
_words = st.text(_letters, min_size=1, max_size=3).map(fold)
_queries = st.builds(SearchQuery, _words, st.lists(_words, max_size=2, unique=True).map(tuple))


# The first call compiles.
@settings(max_examples=300, deadline=None)
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
    found, rows = TermMatcher(queries).match(
        data, np.array(starts, dtype=np.int64), np.array(ends, dtype=np.int64)
    )
    expected = {
        index: [row for row, text in enumerate(texts) if matches(query, text)]
        for index, query in enumerate(queries)
    }
    assert {index: rows[found == index].tolist() for index in range(len(queries))} == expected


def test_formats() -> None:
    assert counts_by_format([3, 2, 1]) == {Format.MIXED: 6, Format.WIDE: 3, Format.TALL: 2}


def test_many_hits_in_one_chunk() -> None:
    texts = [f"the {word} a" for word in ["cat", "dog", "other", "x"] * 1_000]
    queries = [SearchQuery("the"), SearchQuery("a"), SearchQuery("a", ("the c",)), SearchQuery("x")]
    found, rows = TermMatcher(queries).match(*join_texts(texts))
    for index, query in enumerate(queries):
        expected = [row for row, text in enumerate(texts) if matches(query, text)]
        assert rows[found == index].tolist() == expected


def test_every_word_ends_where_another_goes_on() -> None:
    words = ["a", "ab", "abc", "bc", "c", "bcd"]
    found, rows = TermMatcher([SearchQuery(word) for word in words]).match(*join_texts(["xabcdx"]))
    assert sorted(found.tolist()) == list(range(len(words)))
    assert rows.tolist() == [0] * 6
