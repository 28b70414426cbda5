"""Playlists and their time slots as files, which an import reads."""

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


def export_playlist(engine: Engine, playlist_id: UUID, kind: FileKind) -> str:
    """The text of a playlist's file.

    Raises:
        NotFoundError: there is no such playlist.
    """
    playlist, _ = _read(engine, playlist_id)
    if kind is FileKind.CSV:
        return playlist_csv(playlist.blocks)
    return playlist_json(playlist.name, playlist.blocks)


def export_slots(engine: Engine, playlist_id: UUID, kind: FileKind) -> str:
    """The text of a file with a playlist's time slots.

    Raises:
        NotFoundError: there is no such playlist.
    """
    playlist, slots = _read(engine, playlist_id)
    return slots_csv(slots) if kind is FileKind.CSV else slots_json(playlist.name, slots)


def _read(engine: Engine, playlist_id: UUID) -> tuple[Playlist, list[SlotDraft]]:
    with snapshot(engine) as connection:
        playlist = rows.load_playlist(connection, playlist_id)
        if playlist is None:
            raise PlaylistNotFoundError(playlist_id)
        slots = load_slots(connection, [playlist.display_id]).get(playlist.display_id, [])
    return playlist, [slot.draft for slot in slots if slot.playlist_id == playlist_id]
