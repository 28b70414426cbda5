"""Deleting displays and playlists, and restoring them within 30 days.

The deleting transaction keeps the rows in `deletions`, so that no other query has to know of what
is deleted. Rows that plain SQL deletes are not kept.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.errors import ForeignKeyViolation, UniqueViolation
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from sorafeed_assets.domain.errors import InvalidInputError, NotFoundError
from sorafeed_assets.services.playlists.locking import lock_display, lock_display_of
from sorafeed_assets.storage.lists import After
from sorafeed_assets.storage.playlists import deletions as stored
from sorafeed_assets.storage.playlists import rows as sql
from sorafeed_assets.storage.postgres.retry import retried


@dataclass(frozen=True, slots=True)
class Deletion:
    """A deleted display, or a deleted playlist, that can be restored.

    Attributes:
        playlist_id: the deleted playlist; None when the whole display was deleted.
        was_active: whether the playlist was its display's active one.
        playlists: how many playlists are restored.
        blocks: how many blocks are restored.
    """

    id: UUID
    display_id: str
    playlist_id: UUID | None
    name: str
    was_active: bool
    deleted_at: datetime
    playlists: int
    blocks: int

    @property
    def until(self) -> datetime:
        """When it is purged."""
        return self.deleted_at + stored.KEPT


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored; without a ``playlist_id`` a whole display."""

    display_id: str
    playlist_id: UUID | None


@retried
def delete_display(engine: Engine, display_id: str) -> UUID:
    """Delete a display with its playlists and queue; its plays stay. Returns the deletion.

    Raises:
        NotFoundError: there is no such display.
    """
    with engine.begin() as connection:
        lock_display(connection, display_id)
        deletion_id = stored.keep_display(connection, display_id)
        sql.delete_display(connection, display_id)
        return deletion_id


@retried
def delete_playlist(engine: Engine, playlist_id: UUID) -> UUID:
    """Delete a playlist with its queue; its plays stay. Returns the deletion.

    Raises:
        NotFoundError: there is no such playlist.
    """
    with engine.begin() as connection:
        display_id = lock_display_of(connection, playlist_id)
        deletion_id = stored.keep_playlist(connection, display_id, playlist_id)
        sql.delete_playlist(connection, display_id, playlist_id)
        return deletion_id


@retried
def restore(engine: Engine, deletion_id: UUID, *, activate: bool = False) -> Restored:
    """Restore a deleted display with its playlists, or a playlist with its blocks.

    A display plays its active playlist from the start; its screen needs a new token. A playlist is
    restored as an inactive one, unless the caller asks to ``activate`` it.

    Raises:
        NotFoundError: it was restored before or is purged, or the playlist's display is deleted.
        InvalidInputError: the display's code was taken since.
    """
    try:
        with engine.begin() as connection:
            display_id = stored.deletion_display(connection, deletion_id)
            exists = display_id is not None and sql.lock_displays(connection, [display_id])
            found = stored.take_deletion(connection, deletion_id)
            if found is None or display_id is None:
                raise NotFoundError(
                    f"deletion {deletion_id} does not exist; it was restored before, or is"
                    f" over {stored.KEPT.days} days old"
                )
            rows: dict[str, list[dict[str, Any]]] = dict(found["rows"])
            playlist_id: UUID | None = found["playlist_id"]
            if playlist_id is None and exists:
                raise InvalidInputError(
                    "id", f"cannot be restored: the code {display_id} was taken by another display;"
                    " delete that one first, then restore this one"
                )  # fmt: skip
            if playlist_id is not None:
                if not exists:
                    raise NotFoundError(
                        f"display {display_id} of this playlist is deleted; restore it first"
                    )
                inactive = {"is_active": False, "is_new": False}
                rows["playlists"] = [{**row, **inactive} for row in rows["playlists"]]
            stored.put_back(connection, rows)
            if playlist_id is not None and activate:
                sql.set_active(connection, [display_id], [playlist_id])
            return Restored(display_id, playlist_id)
    except IntegrityError as error:
        if not isinstance(error.orig, (ForeignKeyViolation, UniqueViolation)):
            raise
        table = error.orig.diag.table_name
        raise NotFoundError(
            f"what was deleted cannot be restored, because rows of {table} that belong to it were"
            " deleted or added since; create it again"
        ) from error


def list_deletions(
    engine: Engine, display_id: str | None, size: int, after: After
) -> list[Deletion]:
    """The next deletions that can be restored, of one display or all, the latest first."""
    with engine.connect() as connection:
        rows = stored.list_deletions(connection, display_id, size, after)
    return [Deletion(**row) for row in rows]


@retried
def purge(engine: Engine) -> int:
    """Purge what was deleted over 30 days ago; returns how many deletions."""
    with engine.begin() as connection:
        return stored.purge_deletions(connection)
