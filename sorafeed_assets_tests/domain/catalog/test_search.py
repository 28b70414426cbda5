"""The in-memory matcher agrees with Postgres on every text and query."""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from sorafeed_assets.domain.catalog.search import (
    SearchQuery,
    fold,
    like_pattern,
    matches,
    parse_query,
    size_class,
)
from sorafeed_assets.domain.errors import InvalidInputError


@pytest.mark.parametrize(
    ("raw", "term"),
    [
        ("  Movie \t Trailer ", "movie trailer"),
        ("cats -Dogs -birds -dogs", "cats -birds -dogs"),
        ("-ad movie trailer", "movie trailer -ad"),
        ("100%_a\\b", "100%_a\\b"),
        ("İstanbul ΣΑΣ", "istanbul σασ"),
        ("well-known", "well-known"),
    ],
)
def test_normalizing(raw: str, term: str) -> None:
    query = parse_query(raw)
    assert query.term == term
    assert parse_query(query.term) == query


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ("", "empty"),
        (" \n\t", "empty"),
        ("-cats -dogs", "only exclusions"),
        ("x" * 201, "201 characters"),
        ("a\x00b", "NUL"),
        ("cats - dogs", "dash without a word"),
    ],
)
def test_refusing(raw: str, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem) as caught:
        parse_query(raw, "blocks[3].search_term")
    assert caught.value.field == "blocks[3].search_term"


@pytest.mark.parametrize(
    ("width", "height", "shape"),
    [
        (640, 352, "wide"),
        (352, 640, "tall"),
        (512, 512, "other"),
        (None, 352, "other"),
        (640, 0, "other"),
        (None, None, "other"),
    ],
)
def test_size_class(width: int | None, height: int | None, shape: str) -> None:
    assert size_class(width, height) == shape


def test_folding_agrees_with_postgres_on_every_letter(engine: Engine) -> None:
    letters = [chr(c) for c in range(1, sys.maxunicode + 1) if not 0xD800 <= c <= 0xDFFF]
    with engine.connect() as connection:
        lowered = connection.scalar(
            text('SELECT lower(CAST(:letters AS text) COLLATE "pg_c_utf8")'),
            {"letters": "".join(letters)},
        )
    assert lowered is not None
    differing = [
        (hex(ord(letter)), fold(letter), lower)
        for letter, lower in zip(letters, lowered, strict=True)
        if fold(letter) != lower
    ]
    assert differing == []


# Few letters, so that phrases are found often; odd cases, wildcards, white space and scripts.
_letters = st.sampled_from("aAbB %_\\-\n\tİıΣςσẞßǅK😀é中אЖжﬁ")
_texts = st.text(_letters, max_size=30) | st.text(
    st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=30
)
_words = st.text(_letters, min_size=1, max_size=3)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_matching_agrees_with_postgres(data: st.DataObject, session_engine: Engine) -> None:
    texts = data.draw(st.lists(_texts, min_size=5, max_size=20))
    queries = data.draw(
        st.lists(
            st.builds(
                SearchQuery, _words.map(fold), st.lists(_words.map(fold), max_size=2).map(tuple)
            ),
            min_size=1,
            max_size=8,
        )
    )
    with session_engine.connect() as connection:
        for query in queries:
            answers = connection.scalars(
                text(
                    "SELECT coalesce(t COLLATE pg_c_utf8 ILIKE :phrase"
                    " AND NOT t COLLATE pg_c_utf8 ILIKE ANY(:exclusions), false)"
                    " FROM unnest(CAST(:texts AS text[])) WITH ORDINALITY AS texts (t, n)"
                    " ORDER BY n"
                ),
                {
                    "phrase": like_pattern(query.phrase),
                    "exclusions": [like_pattern(word) for word in query.exclusions],
                    "texts": texts,
                },
            ).all()
            assert list(answers) == [matches(query, t) for t in texts]


def test_no_text_matches_nothing() -> None:
    assert not matches(SearchQuery("a"), None)
