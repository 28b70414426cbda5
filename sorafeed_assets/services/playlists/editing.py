"""Playlists: creating, editing, copying and listing them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, Engine

from sorafeed_assets.domain.errors import (
    DisplayNotFoundError,
    InvalidInputError,
    PlaylistNotFoundError,
)
from sorafeed_assets.domain.playlists.playlist import (
    Block,
    BlockDraft,
    check_name,
    keep_blocks,
    new_ids,
)
from sorafeed_assets.domain.playlists.time_slots import SlotDraft
from sorafeed_assets.domain.text import shown
from sorafeed_assets.services.playlists.activation import activate
from sorafeed_assets.services.playlists.locking import lock_display, locked_playlist
from sorafeed_assets.services.playlists.timetables import check_slots
from sorafeed_assets.storage.playlists import rows as sql
from sorafeed_assets.storage.playlists.templates import template_of
from sorafeed_assets.storage.playlists.timetables import write_slots
from sorafeed_assets.storage.postgres.retry import retried


@dataclass(frozen=True, slots=True)
class PlaylistSummary:
    """A playlist as lists show it; ``videos`` is the number of videos in one loop."""

    id: UUID
    display_id: str
    name: str
    is_active: bool
    blocks: int
    videos: int
    created_at: datetime


def display_of(engine: Engine, playlist_id: UUID) -> str:
    """The display that a playlist belongs to.

    Raises:
        NotFoundError: there is no such playlist.
    """
    with engine.connect() as connection:
        display_id = sql.playlist_display(connection, playlist_id)
    if display_id is None:
        raise PlaylistNotFoundError(playlist_id)
    return display_id


@retried
def create_playlist(
    engine: Engine,
    display_id: str,
    name: str,
    drafts: Sequence[BlockDraft],
    slots: Sequence[SlotDraft] = (),
) -> UUID:
    """Add a playlist with its time slots; `activate` then makes it the display's active one.

    Raises:
        InvalidInputError: a blank name, no blocks, too many time slots, or one twice.
        NotFoundError: there is no such display.
    """
    name = check_name(name)
    check_drafts(drafts)
    check_slots(slots)
    with engine.begin() as connection:
        lock_display(connection, display_id)
        check_new_ids(connection, drafts, [None] * len(drafts))
        playlist_id = sql.insert_playlist(connection, display_id, name)
        sql.write_blocks(connection, playlist_id, drafts, [None] * len(drafts))
        write_slots(connection, playlist_id, slots)
    return playlist_id


@retried
def replace_blocks(engine: Engine, playlist_id: UUID, drafts: Sequence[BlockDraft]) -> bool:
    """Replace the blocks of a playlist; returns True when that changed something.

    Blocks with equal fields keep their ids, and with them their shuffle.

    Raises:
        InvalidInputError: no blocks, or a playlist that follows a template.
        NotFoundError: there is no such playlist.
    """
    check_drafts(drafts)
    with engine.begin() as connection:
        playlist = locked_playlist(connection, playlist_id)
        template = template_of(connection, playlist_id)
        if template is not None:
            raise InvalidInputError(
                "blocks",
                f"is that of the template {shown(template['name'])}; edit the template, or detach"
                " the playlist",
            )
        kept = keep_blocks(playlist.blocks, drafts)
        if len(drafts) == len(playlist.blocks) and None not in kept:
            return False
        check_new_ids(connection, drafts, kept)
        sql.write_blocks(connection, playlist_id, drafts, kept)
        return True


@retried
def rename_playlist(engine: Engine, playlist_id: UUID, name: str) -> None:
    """Rename a playlist, which does not affect what plays.

    Raises:
        InvalidInputError: a blank name.
        NotFoundError: there is no such playlist.
    """
    name = check_name(name)
    with engine.begin() as connection:
        if not sql.rename_playlist(connection, playlist_id, name):
            raise PlaylistNotFoundError(playlist_id)


@retried
def duplicate_playlist(engine: Engine, playlist_id: UUID, name: str) -> tuple[str, UUID]:
    """Copy a playlist on its display, as an inactive one; returns the display and the copy.

    Raises:
        InvalidInputError: a blank name.
        NotFoundError: there is no such playlist.
    """
    name = check_name(name)
    with engine.begin() as connection:
        playlist = locked_playlist(connection, playlist_id)
        # Otherwise the copy would be the newest, and a new one before it would not be activated.
        activate(connection, [playlist.display_id])
        copy = sql.insert_playlist(connection, playlist.display_id, name, is_new=False)
        drafts = [
            BlockDraft(b.search_term, b.video_count, b.fetch_mode, b.format)
            for b in playlist.blocks
        ]
        sql.write_blocks(connection, copy, drafts, [None] * len(drafts))
    return playlist.display_id, copy


def list_playlists(engine: Engine, display_id: str | None = None) -> list[PlaylistSummary]:
    """The playlists of one display, or all, in the order of their creation.

    Raises:
        NotFoundError: there is no such display.
    """
    with engine.connect() as connection:
        if display_id is not None and not sql.display_ids(connection, [display_id]):
            raise DisplayNotFoundError(display_id)
        return [PlaylistSummary(**row) for row in sql.list_playlists(connection, display_id)]


def check_drafts(drafts: Sequence[BlockDraft]) -> None:
    """Check that there are blocks.

    Raises:
        InvalidInputError: there are none.
    """
    if not drafts:
        raise InvalidInputError("blocks", "is empty; a playlist needs at least one block")


def check_new_ids(
    connection: Connection, drafts: Sequence[BlockDraft], kept: Sequence[Block | None]
) -> None:
    """Check that no block has the ids of new ones: an id never means another block.

    Raises:
        InvalidInputError: naming the first draft whose id is taken.
    """
    wanted = new_ids(drafts, kept)
    taken = sql.stored_block_ids(connection, list(wanted))
    if taken:
        index = min(wanted[block_id] for block_id in taken)
        raise InvalidInputError(
            f"blocks[{index}].id",
            "is that of another block; leave it out, or take the id that a preview gives",
        )
