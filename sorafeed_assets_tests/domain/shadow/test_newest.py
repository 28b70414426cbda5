"""Blocks of newest videos: order, what one side leaves out, and what that displaces."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from sorafeed_assets.domain.catalog.search import parse_query
from sorafeed_assets.domain.shadow.newest import NewestBlock, compare_newest
from sorafeed_assets.domain.shadow.outcome import Rule
from sorafeed_assets.domain.shadow.posts import Post
from sorafeed_assets_tests.domain.shadow.catalogue import post

_POSTS: Final = {name: post(name, at=1_000 - place) for place, name in enumerate("abcdef")}


def _rules(
    ours: str,
    old: str,
    *,
    used_here: str = "",
    used_there: str = "",
    replayed: str = "",
    posts: Sequence[Post] = (),
) -> list[Rule | None]:
    """The rules; each letter is a post, `a` the newest."""
    known = {**_POSTS, **{each.id: each for each in posts}}
    block = NewestBlock(
        parse_query("tea"),
        list(ours),
        list(old),
        set(used_here),
        set(used_there),
        set(replayed),
        known,
        "block 1",
    )
    return [reason.rule for reason in compare_newest(block)]


def test_the_same_order() -> None:
    assert _rules("abc", "abc") == []
    assert _rules("", "") == []


def test_another_order_is_unexplained() -> None:
    assert _rules("abc", "acb") == [None]
    twin = post("b", at=998)
    assert _rules("abc", "acb", posts=[twin]) == [Rule.SAME_TIME]
    unknown = post("c", at=0)
    assert _rules("abc", "cab", posts=[unknown]) == [Rule.UNKNOWN_TIME]


def test_what_one_side_leaves_out_displaces_the_last() -> None:
    sizeless = post("a", at=1_000, size=(None, None))
    assert _rules("abc", "bcd", posts=[sizeless]) == [Rule.SIZELESS_POST]
    gone = replace(post("a", at=1_000), there=None)
    assert _rules("abc", "bcd", posts=[gone]) == [Rule.ONLY_HERE]
    # It displaces one post, and no second one.
    assert _rules("abc", "bde", posts=[sizeless]) == [Rule.SIZELESS_POST, None, None]


def test_a_newer_post_is_not_displaced() -> None:
    sizeless = post("c", at=998, size=(None, None))
    # The old way plays `a`, which is newer than what both play.
    assert None in _rules("bc", "ab", posts=[sizeless])


def test_used_in_an_earlier_block() -> None:
    assert _rules("abc", "bcd", used_there="a") == [Rule.USED_EARLIER]
    assert _rules("bcd", "abc", used_here="a") == [Rule.USED_EARLIER]
    assert _rules("bcd", "abc") == [None, None]


def test_played_before_and_cleared_there() -> None:
    assert _rules("bcd", "abc", replayed="a") == [Rule.HISTORY_CLEARED]
