"""From one catalogue, our plan and the old way never differ by more than known faults."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.playlists.playlist import Block, FetchMode
from sorafeed_assets.domain.shadow.old_way import Stage
from sorafeed_assets.domain.shadow.outcome import Outcome, Rule, conclude
from sorafeed_assets.domain.shadow.posts import Post
from sorafeed_assets.domain.shadow.timelines import compare_blocks, figures_of
from sorafeed_assets_tests.domain.shadow.catalogue import Catalogue, both_sides, post

SEEDS: Final = (1, 2)


def block(
    number: int,
    term: str,
    count: int,
    mode: FetchMode = FetchMode.NEWEST,
    format_: Format = Format.MIXED,
) -> Block:
    return Block(UUID(int=number + 1), term, count, mode, format_, number)


def catalogue(*posts: Post) -> Catalogue:
    return Catalogue({each.id: each for each in posts})


def rules(
    found: Catalogue, blocks: list[Block], plays: Mapping[str, int] | None = None
) -> tuple[Outcome, tuple[Rule, ...]]:
    sides = both_sides(found, blocks, plays or {}, SEEDS)
    finding = conclude(compare_blocks(sides, blocks))
    return finding.outcome, finding.rules


TEN: Final = [post(f"p{n}", at=1_000 + n) for n in range(10)]


def test_the_same_posts_in_the_same_order() -> None:
    assert rules(catalogue(*TEN), [block(0, "tea", 5)], {"p9": 1}) == (Outcome.SAME, ())


def test_a_random_block_is_the_same_by_its_properties() -> None:
    blocks = [block(0, "tea", 2, FetchMode.RANDOM)]
    assert rules(catalogue(*TEN), blocks)[0] in {Outcome.SAME, Outcome.EXPECTED}


@pytest.mark.parametrize(
    ("odd", "rule"),
    [
        (post("odd", at=2_000, size=(None, 352)), Rule.SIZELESS_POST),
        (post("odd", at=1_772_366_400_000), Rule.UNKNOWN_TIME),
        (replace(post("odd", at=2_000), there=None), Rule.ONLY_HERE),
    ],
)
def test_a_post_that_one_side_leaves_out(odd: Post, rule: Rule) -> None:
    assert rules(catalogue(*TEN, odd), [block(0, "tea", 5)]) == (Outcome.EXPECTED, (rule,))


def test_a_post_that_we_lack_is_unexplained() -> None:
    lacking = replace(post("new", at=2_000), here=None)
    outcome, _ = rules(catalogue(*TEN, lacking), [block(0, "tea", 5)])
    assert outcome is Outcome.UNEXPLAINED


def test_posts_of_one_second() -> None:
    twins = [post(f"t{n}", at=5_000) for n in range(4)]
    assert rules(catalogue(*TEN, *twins), [block(0, "tea", 2)]) == (
        Outcome.EXPECTED,
        (Rule.SAME_TIME,),
    )


def test_too_few_matches() -> None:
    few = [post("a", "tea", 10), post("b", "tea", 11), post("c", "tea milk", 12)]
    outcome, found = rules(catalogue(*few), [block(0, "tea -milk", 3)], {"a": 1})
    assert outcome is Outcome.EXPECTED
    assert set(found) == {Rule.EXCLUSIONS_DROPPED, Rule.HISTORY_CLEARED}


def test_a_random_block_that_we_cannot_fill_is_unexplained() -> None:
    lacking = [replace(each, here=None) for each in TEN]
    outcome, _ = rules(catalogue(*lacking), [block(0, "tea", 2, FetchMode.RANDOM)])
    assert outcome is Outcome.UNEXPLAINED


def test_the_plan_audit_finds_repeats_of_the_old_way() -> None:
    blocks = [block(0, "tea", 4)]
    few = catalogue(post("a", at=10, size=(None, None)), post("b", at=11))
    figures = figures_of(both_sides(few, blocks, {}, SEEDS), blocks)
    assert figures["here"] == 4
    assert "repeats a video while a was never played" in figures["audit"][0]
    kept = figures_of(both_sides(catalogue(*TEN), blocks, {}, SEEDS), blocks)
    assert kept["audit"] == [None, None]


_WORDS = ["tea", "cat", "tea cat", "tea milk", "50% off", "50 per cent off", "TEA"]
_POSTS = st.lists(
    st.tuples(
        st.sampled_from(_WORDS),
        st.sampled_from([0, 5, 6, 7, 8, 9, 1_772_366_400_000]),
        st.sampled_from([(640, 352), (352, 640), (500, 500), (None, 352), (0, 0)]),
        st.sampled_from(["both", "both", "both", "here"]),
    ),
    max_size=14,
).map(
    lambda rows: catalogue(
        *(
            replace(made, there=None) if where == "here" else made
            for n, (words, at, size, where) in enumerate(rows)
            for made in [post(f"p{n}", words, at, size)]
        )
    )
)
_BLOCKS = st.lists(
    st.tuples(
        st.sampled_from(["tea", "cat", "tea -milk", "50% off"]),
        st.integers(1, 5),
        st.sampled_from(list(FetchMode)),
        st.sampled_from(list(Format)),
    ),
    min_size=1,
    max_size=4,
).map(lambda lines: [block(n, *line) for n, line in enumerate(lines)])
_PLAYS = st.dictionaries(st.sampled_from([f"p{n}" for n in range(14)]), st.integers(1, 9))


@given(found=_POSTS, blocks=_BLOCKS, plays=_PLAYS)
@settings(max_examples=300, deadline=None)
def test_from_one_catalogue_nothing_is_unexplained(
    found: Catalogue, blocks: list[Block], plays: dict[str, int]
) -> None:
    known = {post_id: at for post_id, at in plays.items() if post_id in found.posts}
    sides = both_sides(found, blocks, known, SEEDS)
    finding = conclude(compare_blocks(sides, blocks))
    assert finding.outcome is not Outcome.UNEXPLAINED, finding


_CLEAN = st.integers(4, 14).map(
    lambda count: [post(f"p{n}", ["tea", "tea cat"][n % 2], 1_000 + n) for n in range(count)]
)
_NEWEST = st.lists(
    st.tuples(st.sampled_from(["tea", "cat"]), st.integers(1, 3)), min_size=1, max_size=3
).map(lambda lines: [block(n, *line) for n, line in enumerate(lines)])


@given(posts=_CLEAN, blocks=_NEWEST, place=st.integers(0, 100), plays=_PLAYS)
def test_a_post_that_we_lack_is_always_found(
    posts: list[Post], blocks: list[Block], place: int, plays: dict[str, int]
) -> None:
    known = {each.id: plays[each.id] for each in posts if each.id in plays}
    whole = both_sides(catalogue(*posts), blocks, known, SEEDS)
    first = [pick.post_id for pick in whole.runs[0].picks if pick.stage is Stage.FIRST]
    if not first:
        return
    lost = first[place % len(first)]
    lacking = [replace(each, here=None) if each.id == lost else each for each in posts]
    sides = both_sides(catalogue(*lacking), blocks, known, SEEDS)
    finding = conclude(compare_blocks(sides, blocks))
    assert finding.outcome is Outcome.UNEXPLAINED
    assert lost in finding.detail
