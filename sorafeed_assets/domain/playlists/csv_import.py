"""Playlists as CSV files, as exported from a spreadsheet, checked line by line."""

import csv
import io
from collections.abc import Iterator
from functools import partial
from typing import Final

from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.errors import InvalidInputError, Refusals
from sorafeed_assets.domain.playlists.playlist import (
    MAX_BLOCKS,
    BlockDraft,
    FetchMode,
    draft_block,
)
from sorafeed_assets.domain.text import shown

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
    rows = _rows(text.removeprefix("\ufeff"))
    line, header = next(rows, (1, []))
    columns = _columns(line, header)
    refusals = Refusals()
    drafts: list[BlockDraft | None] = []
    while (row := refusals.check(lambda: next(rows, None))) is not None:
        line, cells = row
        if len(drafts) == MAX_BLOCKS:
            refusals.add(
                InvalidInputError(f"line {line}", f"is block {MAX_BLOCKS + 1}; write fewer")
            )
            break
        drafts.append(refusals.check(partial(_draft_of, len(drafts), line, columns, cells)))
    refusals.raise_all()
    if not drafts:
        raise InvalidInputError("csv", "has no blocks; write one line for each block")
    return tuple(draft for draft in drafts if draft is not None)


def _draft_of(index: int, line: int, columns: list[str], cells: list[str]) -> BlockDraft:
    if len(cells) != len(columns):
        raise InvalidInputError(
            f"line {line}",
            f"has {len(cells)} fields, the header has {len(columns)};"
            " put quotes around a field with commas",
        )
    return _draft(index, line, dict(zip(columns, cells, strict=True)))


def _rows(text: str) -> Iterator[tuple[int, list[str]]]:
    """The records that are not blank, each with the number of the line it begins on."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise InvalidInputError(f"line {line}", f"is not valid CSV: {error}") from error
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            yield line, cells


def _columns(line: int, header: list[str]) -> list[str]:
    columns = [name.strip() for name in header]
    for name in columns:
        if name not in _COLUMNS:
            raise InvalidInputError(
                f"line {line}", f"has an unknown column {shown(name)}; use {', '.join(_COLUMNS)}"
            )
        if columns.count(name) > 1:
            raise InvalidInputError(f"line {line}", f"has the column {name} twice; remove one")
    missing = [name for name in _REQUIRED if name not in columns]
    if missing:
        raise InvalidInputError(
            f"line {line}",
            f"lacks the column {missing[0]}; the first line names the columns, for example"
            f" {','.join(_COLUMNS)}",
        )
    return columns


def _draft(index: int, line: int, cells: dict[str, str]) -> BlockDraft:
    try:
        return draft_block(
            index,
            cells["search_term"],
            cells["video_count"],
            cells.get("fetch_mode", "").strip() or FetchMode.RANDOM,
            cells.get("format", "").strip() or Format.MIXED,
        )
    except InvalidInputError as error:
        refusals = Refusals()
        for each in error.errors:
            field = each.field.rpartition(".")[2]
            refusals.add(InvalidInputError(f"line {line}, {field}", each.problem))
        refusals.raise_all()
        raise
