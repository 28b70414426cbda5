"""Playlists and their blocks: what is valid, which one is active, what changes playback."""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, TypeVar
from uuid import UUID

from sorafeed_assets.domain.catalog.search import Format, SearchQuery, parse_query
from sorafeed_assets.domain.digest import content_digest
from sorafeed_assets.domain.errors import InvalidInputError, Refusals
from sorafeed_assets.domain.text import check_storable, shown

MAX_VIDEO_COUNT: Final = 500
MAX_NAME_LENGTH: Final = 200

MAX_BLOCKS: Final = 500
_WHOLE_NUMBER: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
_DISPLAY_CODE: Final = re.compile(r"[A-Z0-9]{6}", re.ASCII)

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
        """The parsed search term; raises InvalidInputError if plain SQL stored an invalid one."""
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
    """A block as a client sends it, before it is stored.

    Attributes:
        id: what it is stored under, unless it continues a stored block; drawn if None.
    """

    search_term: str
    video_count: int
    fetch_mode: FetchMode = FetchMode.RANDOM
    format: Format = Format.MIXED
    id: UUID | None = field(default=None, compare=False)


def draft_block(
    index: int,
    search_term: str,
    video_count: object,
    fetch_mode: str = FetchMode.RANDOM,
    format_: str = Format.MIXED,
) -> BlockDraft:
    """Check the fields of one requested block.

    Raises:
        InvalidInputError: naming the field, as ``blocks[index].field``; all that are refused.
    """
    at = f"blocks[{index}]"
    refusals = Refusals()
    search = refusals.check(lambda: _search(search_term, f"{at}.search_term"))
    count = refusals.check(lambda: _video_count(video_count, f"{at}.video_count"))
    mode = refusals.check(lambda: _choice(FetchMode, fetch_mode, f"{at}.fetch_mode"))
    shape = refusals.check(lambda: _choice(Format, format_, f"{at}.format"))
    if search is None or count is None or mode is None or shape is None:
        refusals.raise_all()
        raise AssertionError("a missing value was refused")
    return BlockDraft(search, count, mode, shape)


def _search(search_term: str, field: str) -> str:
    check_storable(search_term, field)
    parse_query(search_term, field)
    return " ".join(search_term.split())


def new_ids(drafts: Sequence[BlockDraft], kept: Sequence[Block | None]) -> dict[UUID, int]:
    """The ids under which new blocks are to be stored, with the index of the draft.

    Raises:
        InvalidInputError: two drafts have the same id.
    """
    found: dict[UUID, int] = {}
    for index, (draft, block) in enumerate(zip(drafts, kept, strict=True)):
        if block is None and draft.id is not None:
            if draft.id in found:
                raise InvalidInputError(
                    f"blocks[{index}].id",
                    f"is also that of blocks[{found[draft.id]}]; leave one of them out",
                )
            found[draft.id] = index
    return found


def _video_count(value: object, field: str) -> int:
    # int() alone would also accept True, 2.5, "1_0" and digits of other scripts.
    if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value.strip()):
        count = int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        count = value
    else:
        raise InvalidInputError(field, f"is {shown(value)}; write a whole number")
    if not 1 <= count <= MAX_VIDEO_COUNT:
        raise InvalidInputError(field, f"is {shown(count)}; it must be 1 to {MAX_VIDEO_COUNT}")
    return count


def check_name(name: str, field: str = "name") -> str:
    """Check and trim the name of a display or playlist.

    Raises:
        InvalidInputError: naming ``field``, when it is blank, too long or not storable.
    """
    check_storable(name, field)
    trimmed = name.strip()
    if not trimmed:
        raise InvalidInputError(field, "is blank; write a name")
    if len(trimmed) > MAX_NAME_LENGTH:
        raise InvalidInputError(
            field, f"has {len(trimmed)} characters; at most {MAX_NAME_LENGTH} are allowed"
        )
    return trimmed


def check_display_code(code: str, field: str = "display_id") -> str:
    """Check the code of a display.

    Raises:
        InvalidInputError: naming ``field``, unless it is 6 characters from A-Z and 0-9.
    """
    if not _DISPLAY_CODE.fullmatch(code):
        raise InvalidInputError(
            field, f"is {shown(code)}; it must be 6 characters from A-Z and 0-9"
        )
    return code


def _choice(kind: type[_Choice], value: str, field: str) -> _Choice:
    try:
        return kind(value)
    except ValueError:
        allowed = ", ".join(kind)
        raise InvalidInputError(field, f"is {shown(value)}; it must be one of {allowed}") from None


def check_playlist(playlist: Playlist) -> None:
    """Refuse a stored playlist that cannot be planned (plain SQL can write one).

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
    return content_digest(
        [
            [str(b.id), b.search_term, b.video_count, b.fetch_mode, b.format, b.block_order]
            for b in sorted(blocks, key=lambda b: b.block_order)
        ]
    )


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


def keep_blocks(blocks: Sequence[Block], drafts: Sequence[BlockDraft]) -> list[Block | None]:
    """Which stored block each draft continues, None for a new one.

    A draft continues a block with equal fields, and continued blocks keep their order. The
    common beginning and end come first, so that an edit re-plans nothing before it.
    """
    old = [BlockDraft(b.search_term, b.video_count, b.fetch_mode, b.format) for b in blocks]
    new = list(drafts)
    shorter = min(len(old), len(new))
    head = next((i for i in range(shorter) if old[i] != new[i]), shorter)
    rest = shorter - head
    tail = next((i for i in range(rest) if old[-1 - i] != new[-1 - i]), rest)
    kept: list[Block | None] = [None] * len(new)
    kept[:head] = blocks[:head]
    if tail:
        kept[-tail:] = blocks[-tail:]
    middle = difflib.SequenceMatcher(
        None, old[head : len(old) - tail], new[head : len(new) - tail], autojunk=False
    )
    for match in middle.get_matching_blocks():
        for i in range(match.size):
            kept[head + match.b + i] = blocks[head + match.a + i]
    return kept
