"""Playlists as files: what is exported is imported as equal blocks."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.playlists.csv_import import parse_playlist_csv
from sorafeed_assets.domain.playlists.files import parse_playlist_json, playlist_csv, playlist_json
from sorafeed_assets.domain.playlists.playlist import BlockDraft, FetchMode, draft_block
from sorafeed_assets.domain.playlists.time_slots import SlotDraft
from sorafeed_assets_tests.domain.playlists.test_slot_files import SLOTS


def _block(search: str, count: int, mode: FetchMode, format_: Format) -> BlockDraft | None:
    try:
        return draft_block(0, search, count, mode, format_)
    except InvalidInputError:
        return None


_SEARCHES = st.one_of(
    st.text(max_size=40),
    st.text(" \t\r\n,;\"'=-+@ab\u2028", min_size=1, max_size=12),
)
_BLOCKS = st.builds(
    _block, _SEARCHES, st.integers(1, 500), st.sampled_from(FetchMode), st.sampled_from(Format)
).filter(lambda block: block is not None)


@given(st.lists(_BLOCKS, min_size=1, max_size=6), st.lists(SLOTS, max_size=3), st.text(max_size=20))
def test_an_exported_playlist_is_imported_as_it_was(
    blocks: list[BlockDraft], slots: list[SlotDraft], name: str
) -> None:
    assert parse_playlist_csv(playlist_csv(blocks)) == tuple(blocks)
    text = playlist_json(name, blocks, slots)
    assert parse_playlist_json(text) == (tuple(blocks), tuple(slots))
    assert ("slots" in json.loads(text)) is bool(slots)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "json"),
        ("[" * 100_000, "json"),
        ("{}", "json"),
        ('{"blocks": []}', "json"),
        ("[1]", "blocks[0]"),
        ('[{"search_term": "cat"}]', "blocks[0].video_count"),
        ('{"blocks": [{"search_term": "cat", "video_count": 1}], "slots": 1}', "slots"),
        ('{"blocks": [{"search_term": "cat", "video_count": 1}], "slots": [{"days": ["MONDAY"]}]}',
         "slots[0].starts"),
        ('[{"search_term": 1, "video_count": 1}]', "blocks[0].search_term"),
        ('[{"search_term": "cat", "video_count": true}]', "blocks[0].video_count"),
        ('[{"search_term": "cat", "video_count": 1, "format": "x"}]', "blocks[0].format"),
        ('[{"search_term": "cat", "video_count": 1, "sort": "x"}]', "blocks[0]"),
        ('[{"search_term": "cat", "video_count": 1}, {"search_term": "-cat", "video_count": 1}]',
         "blocks[1].search_term"),
    ],
)  # fmt: skip
def test_invalid_json_is_refused_with_its_place(text: str, field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        parse_playlist_json(text)
    assert refused.value.field == field


def test_all_refused_blocks_of_a_json_file_are_told_at_once() -> None:
    wrong = [{"search_term": "cat"}, {"search_term": "cat", "video_count": 2}, 5]
    with pytest.raises(InvalidInputError) as refused:
        parse_playlist_json(json.dumps({"blocks": wrong, "slots": [5]}))
    assert [error.field for error in refused.value.errors] == [
        "blocks[0].video_count",
        "blocks[2]",
        "slots[0]",
    ]
