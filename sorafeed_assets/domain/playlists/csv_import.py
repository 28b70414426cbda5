"""Playlists as CSV files, as exported from a spreadsheet, checked line by line."""

from typing import Final

from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.playlists.csv_lines import parse_csv
from sorafeed_assets.domain.playlists.playlist import (
    MAX_BLOCKS,
    BlockDraft,
    FetchMode,
    draft_block,
)

_REQUIRED: Final = ("search_term", "video_count")
_COLUMNS: Final = (*_REQUIRED, "fetch_mode", "format")


def parse_playlist_csv(text: str) -> tuple[BlockDraft, ...]:
    """The blocks of a CSV file with the columns search_term, video_count, fetch_mode, format.

    The first line names the columns, in any order; fetch_mode and format are optional, and an empty
    cell means the default. A byte order mark and blank lines are ignored.

    Raises:
        InvalidInputError: naming the line, and the field where there is one: ``line 3, format``;
            all that are refused, at once.
    """
    drafts = parse_csv(text, _COLUMNS, _REQUIRED, _draft, most=MAX_BLOCKS, kind="block")
    if not drafts:
        raise InvalidInputError("csv", "has no blocks; write one line for each block")
    return drafts


def _draft(index: int, cells: dict[str, str]) -> BlockDraft:
    return draft_block(
        index,
        cells["search_term"],
        cells["video_count"],
        cells.get("fetch_mode", "").strip() or FetchMode.RANDOM,
        cells.get("format", "").strip() or Format.MIXED,
    )
