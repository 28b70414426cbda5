"""Each rule about one post: a case that it explains, and one that it does not."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from sorafeed_assets.domain.catalog.search import SearchQuery, matches, parse_query
from sorafeed_assets.domain.shadow import posts
from sorafeed_assets.domain.shadow.outcome import Rule
from sorafeed_assets.domain.shadow.posts import Post, Row
from sorafeed_assets_tests.domain.shadow.catalogue import post

TEA = parse_query("tea")


def _only_here(words: str) -> Post:
    return Post("p", None, Row(words, 1_000, 640, 352))


@pytest.mark.parametrize(
    ("search", "words", "differs"),
    [
        ("50% off", "50 per cent off", True),
        ("50% off", "50% off", False),
        ("a_b", "acb", True),
        ("a_b", "a_b", False),
        ("back\\slash", "backslash", True),
        ("back\\slash", "back\\slash", True),
        ("tea -50%", "tea for 50", True),
        ("tea", "tea", False),
    ],
)
def test_wildcards(search: str, words: str, *, differs: bool) -> None:
    assert posts.wildcard(parse_query(search), post("p", words)) is differs


def test_letters_that_the_other_locale_does_not_fold() -> None:
    assert posts.letter_case(parse_query("éclair"), post("p", "ÉCLAIR"))
    assert not posts.letter_case(parse_query("éclair"), post("p", "éclair"))
    assert not posts.letter_case(parse_query("eclair"), post("p", "ECLAIR"))
    edited = Post("p", Row("other", 1, 1, 1), Row("ÉCLAIR", 1, 1, 1))
    assert not posts.letter_case(parse_query("éclair"), edited)


def test_posts_that_only_exist_here() -> None:
    assert posts.only_here(_only_here("tea"))
    assert not posts.only_here(post("p"))
    assert not posts.only_here(Post("p", Row("tea", 1, 1, 1), None))


@pytest.mark.parametrize(
    ("size", "without"),
    [((640, 352), False), ((None, 352), True), ((640, 0), True), ((-1, 352), True)],
)
def test_posts_without_a_size(size: tuple[int | None, int | None], *, without: bool) -> None:
    assert posts.sizeless(post("p", size=size)) is without


@pytest.mark.parametrize(
    ("at", "unknown"), [(0, True), (-5, True), (1_772_366_400_000, True), (1_772_366_400, False)]
)
def test_times_that_are_unknown(at: int, *, unknown: bool) -> None:
    assert posts.unknown_time(post("p", at=at)) is unknown


def test_posts_with_an_excluded_word() -> None:
    query = parse_query("tea -milk")
    assert posts.exclusion_dropped(query, post("p", "tea with milk"))
    assert not posts.exclusion_dropped(query, post("p", "tea"))
    assert not posts.exclusion_dropped(query, post("p", "milk"))


def test_posts_that_this_side_excludes() -> None:
    there = Row("tea", 1, 640, 352)
    excluded = Post("p", there, replace(there, is_excluded=True))
    assert posts.why_counted_once(TEA, excluded) is Rule.BLOCKLIST
    assert posts.why_played_once(TEA, excluded) is Rule.BLOCKLIST
    assert posts.why_counted_once(TEA, Post("p", there, there)) is None


def test_a_post_that_was_not_copied_or_was_edited_is_unexplained() -> None:
    missing = Post("p", Row("tea", 1, 640, 352), None)
    edited = Post("p", Row("tea", 1, 640, 352), Row("coffee", 1, 640, 352))
    for each in (missing, edited, post("p")):
        assert posts.why_counted_once(TEA, each) is None
        assert posts.why_played_once(TEA, each) is None
    assert posts.why_counted_once(TEA, _only_here("tea")) is Rule.ONLY_HERE
    assert posts.why_played_once(TEA, post("p", size=(None, None))) is Rule.SIZELESS_POST
    assert posts.why_counted_once(TEA, post("p", size=(None, None))) is None
    assert posts.why_played_once(TEA, post("p", at=0)) is Rule.UNKNOWN_TIME


_LETTERS = st.text(alphabet="aAbB %_\\\n", max_size=8)
_WORDS = st.text(alphabet="ab%_\\", min_size=1, max_size=4)


@given(phrase=_WORDS, words=_LETTERS)
def test_unescaped_patterns_are_those_of_postgres(
    session_engine: Engine, phrase: str, words: str
) -> None:
    with session_engine.connect() as connection:
        found = connection.scalar(
            text("SELECT CAST(:words AS text) ILIKE '%' || CAST(:phrase AS text) || '%'"),
            {"words": words, "phrase": phrase},
        )
    assert posts.old_matches(SearchQuery(phrase), words) is found


@given(phrase=st.text(alphabet="ab ", min_size=1, max_size=3), words=st.text(alphabet="abAB ÉéΣß"))
def test_without_wildcards_both_sides_find_the_same(phrase: str, words: str) -> None:
    query = SearchQuery(phrase, ("bb",))
    assert posts.old_matches(query, words) is matches(query, words)
