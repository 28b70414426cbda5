"""Playlists and their blocks: what is valid, which one is active, what changes playback."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeVar
from uuid import UUID

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.search import Format, SearchQuery, parse_query

MAX_VIDEO_COUNT: Final = 500

_Choice = TypeVar("_Choice", bound=StrEnum)


class FetchMode(StrEnum):
    """How a block picks among its matches."""

    NEWEST = "newest"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class Block:
    """One line of a playlist."""

    id: UUID
    search_term: str
    video_count: int
    fetch_mode: FetchMode
    format: Format
    block_order: int

    @property
    def query(self) -> SearchQuery:
        """The parsed search term; raises InvalidInputError where rows were written by hand."""
        return parse_query(self.search_term, f"blocks[{self.block_order}].search_term")


@dataclass(frozen=True, slots=True)
class Playlist:
    """A playlist as stored; ``blocks`` are in block order."""

    id: UUID
    display_id: str
    name: str
    created_at: datetime
    is_active: bool
    is_new: bool
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class BlockDraft:
    """A block as someone asks for it, before it is stored."""

    search_term: str
    video_count: int
    fetch_mode: FetchMode = FetchMode.RANDOM
    format: Format = Format.MIXED


def draft_block(
    index: int,
    search_term: str,
    video_count: object,
    fetch_mode: str = FetchMode.RANDOM,
    format_: str = Format.MIXED,
) -> BlockDraft:
    """Check the fields of one asked-for block.

    Raises:
        InvalidInputError: naming the field, as ``blocks[index].field``.
    """
    at = f"blocks[{index}]"
    parse_query(search_term, f"{at}.search_term")
    return BlockDraft(
        search_term.strip(),
        _video_count(video_count, f"{at}.video_count"),
        _choice(FetchMode, fetch_mode, f"{at}.fetch_mode"),
        _choice(Format, format_, f"{at}.format"),
    )


def _video_count(value: object, field: str) -> int:
    try:
        count = int(str(value))
    except ValueError:
        raise InvalidInputError(field, f"is {value!r}; write a whole number") from None
    if not 1 <= count <= MAX_VIDEO_COUNT:
        raise InvalidInputError(field, f"is {count}; it must be 1 to {MAX_VIDEO_COUNT}")
    return count


def _choice(kind: type[_Choice], value: str, field: str) -> _Choice:
    try:
        return kind(value)
    except ValueError:
        allowed = ", ".join(kind)
        raise InvalidInputError(field, f"is {value!r}; it must be one of {allowed}") from None


def check_playlist(playlist: Playlist) -> None:
    """Refuse a stored playlist that cannot be planned (rows can be written by plain SQL).

    Raises:
        InvalidInputError: naming the field.
    """
    if not playlist.blocks:
        raise InvalidInputError("blocks", "is empty; a playlist needs at least one block")
    orders = [block.block_order for block in playlist.blocks]
    if len(set(orders)) != len(orders):
        raise InvalidInputError("block_order", f"repeats in {orders}; number each block once")
    for block in playlist.blocks:
        parse_query(block.search_term, f"blocks[{block.block_order}].search_term")


def playlist_version(blocks: Sequence[Block]) -> str:
    """The fingerprint of what affects playback: the blocks in order and their fields."""
    canonical = json.dumps(
        [
            [str(b.id), b.search_term, b.video_count, b.fetch_mode, b.format, b.block_order]
            for b in sorted(blocks, key=lambda b: b.block_order)
        ],
        ensure_ascii=False,
        separators=(",", ":"),
    )
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]


def choose_active(playlists: Iterable[Playlist]) -> Playlist | None:
    """Which of one display's playlists should be active.

    The newest by (created_at, id) wins as long as no decision has been made about it
    (``is_new``); after that a choice made by hand stays until a newer one is created.
    """
    ordered = sorted(playlists, key=lambda p: (p.created_at, p.id))
    if not ordered:
        return None
    newest = ordered[-1]
    if newest.is_new:
        return newest
    return next((p for p in ordered if p.is_active), newest)
