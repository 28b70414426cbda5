"""Demo playlists vary and can be stored; benchmark queries differ in frequency."""

from collections import Counter
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorafeed_assets.demo.catalogue import generate_day, generate_part, whole_days
from sorafeed_assets.demo.playlists import (
    MAX_DISPLAYS,
    REAL_PLAYLIST,
    bench_terms,
    demo_playlist,
    display_code,
)
from sorafeed_assets.demo.start import DEFAULT_POSTS
from sorafeed_assets.domain.catalog.search import Format, fold, matches, parse_query, size_class
from sorafeed_assets.domain.playlists.playlist import check_display_code, draft_block


def test_codes_are_distinct_and_valid() -> None:
    codes = [check_display_code(display_code(n)) for n in range(1, MAX_DISPLAYS + 1)]
    assert len(set(codes)) == MAX_DISPLAYS
    assert codes[0] == "DEMO01"


def test_the_first_display_runs_the_real_playlist() -> None:
    blocks = demo_playlist(1, 7)
    assert blocks == REAL_PLAYLIST
    assert (len(blocks), sum(block.video_count for block in blocks)) == (12, 52)


@given(st.integers(1, MAX_DISPLAYS), st.integers(0, 9))
def test_every_block_is_valid(number: int, seed: int) -> None:
    blocks = demo_playlist(number, seed)
    assert blocks == demo_playlist(number, seed)
    assert sum(block.video_count for block in blocks) in (10, 52)
    for b in blocks:
        assert draft_block(0, b.search_term, b.video_count, b.fetch_mode, b.format) == b


def test_playlists_vary() -> None:
    blocks = [block for number in range(1, 101) for block in demo_playlist(number, 1)]
    assert len({demo_playlist(number, 1) for number in range(1, 101)}) > 90
    assert {block.format for block in blocks} == {"mixed", "wide", "tall"}
    assert {block.fetch_mode for block in blocks} == {"newest", "random"}


def test_the_default_catalogue_has_enough_posts_for_all_displays_but_two() -> None:
    texts = [
        (fold(post.text), size_class(post.width, post.height))
        for part in whole_days(date(2026, 3, 1), DEFAULT_POSTS, 26)
        for post in generate_part(part, 1)
    ]
    found: Counter[tuple[str, str]] = Counter()
    playlists = {number: demo_playlist(number, 1) for number in range(1, 31)}
    queries = {parse_query(block.search_term) for blocks in playlists.values() for block in blocks}
    for query in queries:
        for text, shape in texts:
            if query.phrase in text and not any(word in text for word in query.exclusions):
                found.update([(query.term, shape), (query.term, Format.MIXED)])
    dry, short = set(), set()
    for number, blocks in playlists.items():
        asked: Counter[tuple[str, str]] = Counter()
        for block in blocks:
            asked[parse_query(block.search_term).term, block.format] += block.video_count
        dry |= {number for key in asked if not found[key]}
        short |= {number for key, videos in asked.items() if 0 < found[key] < videos}
    assert (dry, short) == ({7}, {10})


@pytest.mark.parametrize("n", [0, 1, 5, 300])
def test_bench_terms_are_distinct_and_normalized(n: int) -> None:
    terms = bench_terms(n)
    assert len(set(terms)) == n
    assert [parse_query(term).term for term in terms] == terms
    assert terms == bench_terms(n)


def test_bench_terms_are_of_varied_frequency() -> None:
    posts = list(generate_day(date(2026, 3, 1), 1000, 1))
    queries = [parse_query(term) for term in bench_terms(120)]
    counts = [sum(matches(query, post.text) for post in posts) for query in queries]
    assert any(query.exclusions for query in queries)
    assert min(counts) == 0
    assert sum(0 < count <= 10 for count in counts) >= 5
    assert sum(10 < count <= 100 for count in counts) >= 5
    assert max(counts) > 300
