"""Displays and playlists: creating, editing and activating them."""

import secrets
import string
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final
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
    Playlist,
    check_display_code,
    check_name,
    choose_active,
    keep_blocks,
    new_ids,
    playlist_version,
)
from sorafeed_assets.domain.playlists.timetable import Decision
from sorafeed_assets.domain.text import shown
from sorafeed_assets.services.playlists.timetables import (
    Left,
    follow_clock,
    hold_by_hand,
    none_left,
)
from sorafeed_assets.storage.lineage_records import Change, write_changes
from sorafeed_assets.storage.playlists import rows as sql
from sorafeed_assets.storage.playlists.templates import template_of
from sorafeed_assets.storage.playlists.timetables import due_displays
from sorafeed_assets.storage.postgres.retry import retried

NO_PLAYLIST: Final = "none"

# A running `react` would have switched by then.
_LATE: Final = timedelta(seconds=5)
_CODE_LETTERS: Final = string.ascii_uppercase + string.digits


@dataclass(frozen=True, slots=True)
class DisplaySummary:
    """A display as lists show it."""

    id: str
    name: str
    status: str
    active_playlist: str | None
    playlists: int
    created_at: datetime


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


@dataclass(frozen=True, slots=True)
class Activation:
    """The active playlist of a display; ``changed`` when another one became active.

    ``decision`` is that of the display's timetable, if its playlists have time slots.
    """

    display_id: str
    playlist_id: UUID | None
    version: str | None
    changed: bool
    decision: Decision | None = None

    @property
    def data_version(self) -> str:
        """``{playlist id}:{version}``, or ``none`` without an active playlist."""
        return f"{self.playlist_id}:{self.version}" if self.version else NO_PLAYLIST

    @property
    def metadata(self) -> dict[str, int | str]:
        """Which playlist is active and, by a timetable, why and until when."""
        metadata: dict[str, int | str] = {
            "playlist": str(self.playlist_id or NO_PLAYLIST),
            "was_changed": int(self.changed),
        }
        if self.decision is not None:
            metadata["chosen_by"] = self.decision.chosen_by.value
            if self.decision.next_switch is not None:
                metadata["until"] = self.decision.next_switch.isoformat()
        return metadata


def activation_changes(activations: Iterable[Activation]) -> list[Change]:
    """The lineage changes of `playlists` and `active_playlists` for these displays."""
    return [
        change
        for activation in activations
        for change in (
            Change("playlists", activation.display_id, activation.data_version),
            Change(
                "active_playlists",
                activation.display_id,
                activation.data_version,
                {"playlists": activation.data_version},
                activation.metadata,
            ),
        )
    ]


@retried
def create_display(engine: Engine, display_id: str | None, name: str) -> str:
    """Add a display; returns its code, which is random when none is given.

    Raises:
        InvalidInputError: an invalid or taken code, or a blank name.
    """
    with engine.begin() as connection:
        return add_display(connection, display_id, name)


def add_display(connection: Connection, display_id: str | None, name: str) -> str:
    """Add a display as `create_display` does, in the caller's transaction."""
    name = check_name(name)
    if display_id is not None:
        check_display_code(display_id)
    while True:
        code = display_id or "".join(secrets.choice(_CODE_LETTERS) for _ in range(6))
        if sql.insert_display(connection, code, name):
            return code
        if display_id is not None:
            raise InvalidInputError("display_id", f"{code} is taken; choose another code")


@retried
def rename_display(engine: Engine, display_id: str, name: str) -> None:
    """Rename a display.

    Raises:
        InvalidInputError: a blank name.
        NotFoundError: there is no such display.
    """
    name = check_name(name)
    with engine.begin() as connection:
        if not sql.rename_display(connection, display_id, name):
            raise DisplayNotFoundError(display_id)


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


def list_displays(engine: Engine) -> list[DisplaySummary]:
    """All displays, by code."""
    with engine.connect() as connection:
        return [DisplaySummary(**row) for row in sql.list_displays(connection)]


@retried
def create_playlist(
    engine: Engine, display_id: str, name: str, drafts: Sequence[BlockDraft]
) -> UUID:
    """Add a playlist; `activate` then makes it the display's active one.

    Raises:
        InvalidInputError: a blank name or no blocks.
        NotFoundError: there is no such display.
    """
    name = check_name(name)
    check_drafts(drafts)
    with engine.begin() as connection:
        _lock(connection, display_id)
        check_new_ids(connection, drafts, [None] * len(drafts))
        playlist_id = sql.insert_playlist(connection, display_id, name)
        sql.write_blocks(connection, playlist_id, drafts, [None] * len(drafts))
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
                f"follow the template {shown(template['name'])}; edit that, or detach the playlist",
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


def activate(
    connection: Connection, display_ids: Collection[str], left: Left = none_left
) -> dict[str, Activation]:
    """Activate the right playlist of each of these displays, and record the result.

    The time slots of displays that ``left`` names are ignored. Returns an activation for each
    existing display. The caller holds the displays' locks.
    """
    changed, decisions = follow_clock(connection, display_ids, left)
    changed |= _decide(connection, sql.undecided_displays(connection, display_ids))
    active = sql.load_active_playlists(connection, display_ids)
    activations = {
        display_id: _activation(
            display_id,
            active.get(display_id),
            decisions.get(display_id),
            changed=display_id in changed,
        )
        for display_id in sql.display_ids(connection, display_ids)
    }
    write_changes(connection, activation_changes(activations.values()))
    return activations


def _decide(connection: Connection, undecided: Collection[str]) -> set[str]:
    """Choose among the playlists of these displays; returns those whose active one changed."""
    if not undecided:
        return set()
    chosen: dict[str, Playlist] = {}
    for display_id, group in groupby(
        sql.load_playlists(connection, undecided), key=lambda playlist: playlist.display_id
    ):
        choice = choose_active(group)
        if choice is not None:
            chosen[display_id] = choice
    if not chosen:
        return set()
    sql.set_active(connection, chosen.keys(), [playlist.id for playlist in chosen.values()])
    return {display_id for display_id, playlist in chosen.items() if not playlist.is_active}


def _activation(
    display_id: str, active: Playlist | None, decision: Decision | None, *, changed: bool
) -> Activation:
    if active is None:
        return Activation(display_id, None, None, changed)
    version = playlist_version(active.blocks)
    return Activation(display_id, active.id, version, changed, decision)


@retried
def activate_by_hand(engine: Engine, playlist_id: UUID) -> str:
    """Activate a playlist; returns its display.

    It stays active until a newer one is created, or until the next switch of a timetable.

    Raises:
        NotFoundError: there is no such playlist.
    """
    with engine.begin() as connection:
        playlist = locked_playlist(connection, playlist_id)
        hold_by_hand(connection, playlist)
        sql.set_active(connection, [playlist.display_id], [playlist.id])
        return playlist.display_id


def active_versions(
    connection: Connection, display_ids: Collection[str] | None = None
) -> dict[str, str]:
    """Existing display → ``{playlist id}:{version}`` of its active playlist, or ``none``."""
    versions = dict.fromkeys(sql.display_ids(connection, display_ids), NO_PLAYLIST)
    for display_id, playlist in sql.load_active_playlists(connection, display_ids).items():
        versions[display_id] = f"{playlist.id}:{playlist_version(playlist.blocks)}"
    return versions


def pending_activations(engine: Engine) -> set[str]:
    """The displays that `activate` would change."""
    with engine.connect() as connection:
        return set(sql.undecided_displays(connection))


def check_activation(engine: Engine, display_ids: Collection[str]) -> dict[str, list[str]]:
    """The problems of these displays' activation, by display; reads only."""
    with engine.connect() as connection:
        many = sql.several_active(connection, display_ids)
        waiting = sql.undecided_displays(connection, display_ids)
        due = due_displays(connection, _LATE).keys() & set(display_ids)
    problems: dict[str, list[str]] = {}
    for names, text in (
        (waiting, "a newer playlist waits to be activated, or none is active"),
        (many, "has several active playlists"),
        (due, "a switch of its timetable is late"),
    ):
        for name in names:
            problems.setdefault(name, []).append(text)
    return problems


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


def _lock(connection: Connection, display_id: str) -> None:
    if not sql.lock_displays(connection, [display_id]):
        raise DisplayNotFoundError(display_id)


def locked_playlist(connection: Connection, playlist_id: UUID) -> Playlist:
    """Lock the display of a playlist until the transaction ends; returns the playlist.

    Raises:
        NotFoundError: there is no such playlist.
    """
    display_id = sql.playlist_display(connection, playlist_id)
    if display_id is not None and sql.lock_displays(connection, [display_id]):
        for playlist in sql.load_playlists(connection, [display_id]):
            if playlist.id == playlist_id:
                return playlist
    raise PlaylistNotFoundError(playlist_id)
