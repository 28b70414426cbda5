"""Locking displays before their playlists are changed; other changes of them wait."""

from uuid import UUID

from sqlalchemy import Connection

from sorafeed_assets.domain.errors import DisplayNotFoundError, PlaylistNotFoundError
from sorafeed_assets.domain.playlists.playlist import Playlist
from sorafeed_assets.storage.playlists import rows as sql


def lock_display(connection: Connection, display_id: str) -> None:
    """Lock a display until the transaction ends.

    Raises:
        NotFoundError: there is no such display.
    """
    if not sql.lock_displays(connection, [display_id]):
        raise DisplayNotFoundError(display_id)


def lock_display_of(connection: Connection, playlist_id: UUID) -> str:
    """Lock the display of a playlist until the transaction ends; returns the display.

    Raises:
        NotFoundError: there is no such playlist.
    """
    display_id = sql.playlist_display(connection, playlist_id)
    if (
        display_id is None
        or not sql.lock_displays(connection, [display_id])
        # It may have been deleted while this one waited for the lock.
        or sql.playlist_display(connection, playlist_id) != display_id
    ):
        raise PlaylistNotFoundError(playlist_id)
    return display_id


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
