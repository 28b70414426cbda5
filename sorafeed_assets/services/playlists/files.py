"""Playlists and their time slots as files, which an import reads."""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Engine

from sorafeed_assets.domain.errors import PlaylistNotFoundError
from sorafeed_assets.domain.playlists.files import FileKind, playlist_csv, playlist_json
from sorafeed_assets.domain.playlists.playlist import Playlist
from sorafeed_assets.domain.playlists.slot_files import slots_csv, slots_json
from sorafeed_assets.domain.playlists.time_slots import SlotDraft
from sorafeed_assets.storage.playlists import rows
from sorafeed_assets.storage.playlists.timetables import load_slots
from sorafeed_assets.storage.postgres.engine import snapshot


class FoundPlaylist(NamedTuple):
    """A playlist with its time slots."""

    playlist: Playlist
    slots: list[SlotDraft]


def export_playlist(engine: Engine, playlist_id: UUID, kind: FileKind) -> str:
    """The text of a playlist's file.

    Raises:
        NotFoundError: there is no such playlist.
    """
    return playlist_text(_read(engine, playlist_id), kind)


def export_slots(engine: Engine, playlist_id: UUID, kind: FileKind) -> str:
    """The text of a file with a playlist's time slots.

    Raises:
        NotFoundError: there is no such playlist.
    """
    return slots_text(_read(engine, playlist_id), kind)


def playlist_text(found: FoundPlaylist, kind: FileKind) -> str:
    """A playlist as a file: CSV has its blocks, JSON its name and time slots too."""
    playlist, slots = found
    if kind is FileKind.CSV:
        return playlist_csv(playlist.blocks)
    return playlist_json(playlist.name, playlist.blocks, slots)


def slots_text(found: FoundPlaylist, kind: FileKind) -> str:
    """The time slots of a playlist as a file."""
    playlist, slots = found
    return slots_csv(slots) if kind is FileKind.CSV else slots_json(playlist.name, slots)


def find_playlist(engine: Engine, playlist_id: UUID) -> FoundPlaylist | None:
    """A playlist with its time slots; None when there is no such playlist."""
    with snapshot(engine) as connection:
        playlist = rows.load_playlist(connection, playlist_id)
        if playlist is None:
            return None
        slots = load_slots(connection, [playlist.display_id]).get(playlist.display_id, [])
    return FoundPlaylist(
        playlist, [slot.draft for slot in slots if slot.playlist_id == playlist_id]
    )


def _read(engine: Engine, playlist_id: UUID) -> FoundPlaylist:
    found = find_playlist(engine, playlist_id)
    if found is None:
        raise PlaylistNotFoundError(playlist_id)
    return found
