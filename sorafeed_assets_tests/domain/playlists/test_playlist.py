"""Which blocks are valid, which blocks an edit keeps, and which playlist is active."""

import string
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.playlists.playlist import (
    Block,
    BlockDraft,
    FetchMode,
    Playlist,
    check_display_code,
    check_name,
    check_playlist,
    choose_active,
    draft_block,
    keep_blocks,
    playlist_version,
)

_DRAFTS = st.builds(
    BlockDraft,
    st.sampled_from(["commercial", "movie trailer", "cat -dog"]),
    st.integers(1, 2),
    st.sampled_from(FetchMode),
    st.just(Format.MIXED),
)


def _blocks(drafts: list[BlockDraft]) -> list[Block]:
    return [
        Block(UUID(int=i + 1), d.search_term, d.video_count, d.fetch_mode, d.format, i)
        for i, d in enumerate(drafts)
    ]


def _playlist(number: int, *, is_active: bool = False, is_new: bool = False) -> Playlist:
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)
    return Playlist(UUID(int=number), "AAAAAA", "x", moment, is_active, is_new, ())


@pytest.mark.parametrize("count", [1, 500, "7", " 12 ", "007"])
def test_whole_numbers_are_counts(count: object) -> None:
    assert draft_block(0, "cat", count).video_count == int(str(count))


@pytest.mark.parametrize(
    "count", [True, 2.0, "2.0", "1_0", "٣", "", "-1", "+1", "1e2", None, 0, 501, "9" * 5000]
)
def test_other_counts_are_refused_by_name(count: object) -> None:
    with pytest.raises(InvalidInputError) as caught:
        draft_block(4, "cat", count)
    assert caught.value.field == "blocks[4].video_count"


@pytest.mark.parametrize(
    ("term", "mode", "format_", "field"),
    [
        ("-dog", "random", "mixed", "search_term"),
        ("a\x00", "random", "mixed", "search_term"),
        ("a\ud800", "random", "mixed", "search_term"),
        ("cat", "oldest", "mixed", "fetch_mode"),
        ("cat", "random", "square", "format"),
    ],
)
def test_wrong_fields_are_refused_by_name(term: str, mode: str, format_: str, field: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        draft_block(1, term, 1, mode, format_)
    assert caught.value.field == f"blocks[1].{field}"


@pytest.mark.parametrize("name", ["", " \t", "a\x00", "\udfff", "n" * 201])
def test_bad_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match=r"^name: "):
        check_name(name)


@pytest.mark.parametrize("code", ["", "abc123", "ABCDE", "ABCDEFG", "ABCDE\n", "ABCDE٣"])
def test_bad_codes_are_refused(code: str) -> None:
    with pytest.raises(InvalidInputError, match=r"^display_id: "):
        check_display_code(code)


def test_a_stored_playlist_needs_blocks() -> None:
    with pytest.raises(InvalidInputError, match="blocks"):
        check_playlist(_playlist(1))


@given(st.lists(_DRAFTS, max_size=9), st.lists(_DRAFTS, max_size=9))
def test_kept_blocks_are_equal_in_order_and_include_both_ends(
    old: list[BlockDraft], new: list[BlockDraft]
) -> None:
    blocks = _blocks(old)
    kept = keep_blocks(blocks, new)
    assert len(kept) == len(new)
    pairs = [(block, draft) for block, draft in zip(kept, new, strict=True) if block]
    assert all(
        (b.search_term, b.video_count, b.fetch_mode) == (d.search_term, d.video_count, d.fetch_mode)
        for b, d in pairs
    )
    orders = [block.block_order for block, _ in pairs]
    assert orders == sorted(set(orders))
    for before, after, block in zip(old, new, kept, strict=False):
        if before != after:
            break
        assert block is not None
    if old == new:
        assert kept == blocks


def test_an_edit_in_the_middle_keeps_the_blocks_around_it() -> None:
    old = [BlockDraft(word, 1) for word in "abca"]
    edited = [old[0], BlockDraft("x", 1), old[2], old[3]]
    assert [b and b.block_order for b in keep_blocks(_blocks(old), edited)] == [0, None, 2, 3]


def test_a_repeated_block_does_not_shift_the_beginning() -> None:
    old = [BlockDraft(word, 1) for word in "cmcv"]
    kept = keep_blocks(_blocks(old), [BlockDraft(word, 1) for word in "cvcv"])
    assert [block and block.block_order for block in kept] == [0, None, 2, 3]


@given(st.lists(_DRAFTS, min_size=1, max_size=5), st.data())
def test_the_version_follows_every_field(drafts: list[BlockDraft], data: st.DataObject) -> None:
    blocks = _blocks(drafts)
    assert playlist_version(blocks[::-1]) == playlist_version(blocks)
    at = data.draw(st.integers(0, len(blocks) - 1))
    old = blocks[at]
    letter = data.draw(st.sampled_from(string.ascii_lowercase))
    new = Block(old.id, old.search_term + letter, old.video_count, old.fetch_mode, old.format, at)
    assert playlist_version([*blocks[:at], new, *blocks[at + 1 :]]) != playlist_version(blocks)


def test_the_newest_undecided_playlist_wins() -> None:
    old, new = _playlist(1, is_active=True), _playlist(2, is_new=True)
    assert choose_active([new, old]) == new


def test_a_choice_by_hand_stays() -> None:
    old, new = _playlist(1, is_active=True), _playlist(2)
    assert choose_active([new, old]) == old


def test_without_an_active_one_the_newest_is_chosen() -> None:
    assert choose_active([_playlist(2), _playlist(1)]) == _playlist(2)
    assert choose_active([]) is None
