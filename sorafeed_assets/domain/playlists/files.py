"""Playlists as files: written as CSV and JSON, and read from JSON.

`csv_import` reads the CSV; both give the blocks that were written.
"""

import csv
import io
import json
from collections.abc import Iterable
from enum import StrEnum
from functools import partial
from typing import Any, Final, NamedTuple, Protocol

from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.errors import InvalidInputError, Refusals
from sorafeed_assets.domain.playlists.playlist import (
    MAX_BLOCKS,
    BlockDraft,
    FetchMode,
    draft_block,
)
from sorafeed_assets.domain.playlists.slot_files import drafts_of_objects, slot_objects
from sorafeed_assets.domain.playlists.time_slots import SlotDraft
from sorafeed_assets.domain.text import shown

_FIELDS: Final = ("search_term", "video_count", "fetch_mode", "format")
_REQUIRED: Final = _FIELDS[:2]


class FileKind(StrEnum):
    """How a file is written."""

    CSV = "csv"
    JSON = "json"


class Written(Protocol):
    """A block to write."""

    @property
    def search_term(self) -> str: ...
    @property
    def video_count(self) -> int: ...
    @property
    def fetch_mode(self) -> str: ...
    @property
    def format(self) -> str: ...


class PlaylistDraft(NamedTuple):
    """What a file says of a playlist to be made."""

    blocks: tuple[BlockDraft, ...]
    slots: tuple[SlotDraft, ...] = ()


def playlist_csv(blocks: Iterable[Written]) -> str:
    """The blocks of a playlist as CSV, with the columns that an import reads."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(_FIELDS)
    writer.writerows(_fields(block).values() for block in blocks)
    return file.getvalue()


def playlist_json(name: str, blocks: Iterable[Written], slots: Iterable[SlotDraft] = ()) -> str:
    """A playlist as JSON: its name, its blocks with the fields of the CSV, and its time slots."""
    found: dict[str, object] = {"name": name, "blocks": [_fields(block) for block in blocks]}
    if of_clock := slot_objects(slots):
        found["slots"] = of_clock
    return json.dumps(found, ensure_ascii=False, indent=2) + "\n"


def parse_playlist_json(text: str) -> PlaylistDraft:
    """The blocks and time slots of a JSON file as `playlist_json` writes it.

    The fetch_mode and format of a block are optional, and so are the time slots.

    Raises:
        InvalidInputError: naming the block or slot, and the field; an InvalidInputsError names all
            refused blocks.
    """
    try:
        given = json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        raise InvalidInputError("json", "is not valid JSON") from None
    blocks = given.get("blocks") if isinstance(given, dict) else given
    if not isinstance(blocks, list) or not blocks:
        raise InvalidInputError("json", "has no blocks; write an object with a list of blocks")
    if len(blocks) > MAX_BLOCKS:
        raise InvalidInputError(
            "json", f"has {len(blocks)} blocks; at most {MAX_BLOCKS} are allowed"
        )
    slots = given.get("slots", []) if isinstance(given, dict) else []
    if not isinstance(slots, list):
        raise InvalidInputError("slots", "must be a list of time slots")
    refusals = Refusals()
    drafts = [
        draft
        for index, block in enumerate(blocks)
        if (draft := refusals.check(partial(_draft, index, block))) is not None
    ]
    timed = refusals.check(partial(drafts_of_objects, slots))
    refusals.raise_all()
    return PlaylistDraft(tuple(drafts), timed or ())


def _draft(index: int, block: Any) -> BlockDraft:
    at = f"blocks[{index}]"
    if not isinstance(block, dict):
        raise InvalidInputError(at, f"must be an object with {', '.join(_FIELDS)}")
    for name in block:
        if name not in _FIELDS:
            raise InvalidInputError(at, f"has an unknown field {shown(name)}")
    for name in _REQUIRED:
        if name not in block:
            raise InvalidInputError(f"{at}.{name}", "is missing")
    for name in ("search_term", "fetch_mode", "format"):
        if not isinstance(block.get(name, ""), str):
            raise InvalidInputError(f"{at}.{name}", "must be text")
    return draft_block(
        index,
        block["search_term"],
        block["video_count"],
        block.get("fetch_mode", FetchMode.RANDOM),
        block.get("format", Format.MIXED),
    )


def _fields(block: Written) -> dict[str, str | int]:
    return {
        "search_term": block.search_term,
        "video_count": block.video_count,
        "fetch_mode": str(block.fetch_mode),
        "format": str(block.format),
    }
