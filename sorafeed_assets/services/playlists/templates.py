"""Templates: playlists that many displays follow.

Each follower is a playlist of its display, a copy of the template's blocks. An edit of the template
writes the copies in its own transaction, so that the outbox has every follower, and each display is
planned from its own playlist like any other.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, Engine

from sorafeed_assets.domain.errors import InvalidInputError, NotFoundError
from sorafeed_assets.domain.playlists.playlist import (
    BlockDraft,
    Playlist,
    check_name,
    keep_blocks,
)
from sorafeed_assets.services.playlists.editing import check_drafts
from sorafeed_assets.services.playlists.locking import locked_playlist
from sorafeed_assets.storage.playlists import rows
from sorafeed_assets.storage.playlists import templates as sql
from sorafeed_assets.storage.postgres.retry import retried


class TemplateNotFoundError(NotFoundError):
    """There is no such template."""

    def __init__(self, template_id: UUID) -> None:
        super().__init__(f"there is no template {template_id}")


@dataclass(frozen=True, slots=True)
class Template:
    """A template, its blocks, and the displays that follow it."""

    id: UUID
    name: str
    created_at: datetime
    updated_at: datetime
    followers: tuple[str, ...]
    blocks: tuple[BlockDraft, ...]


@retried
def create_template(engine: Engine, name: str, drafts: Sequence[BlockDraft]) -> UUID:
    """Add a template, which no display follows yet.

    Raises:
        InvalidInputError: a blank name or no blocks.
    """
    name = check_name(name)
    check_drafts(drafts)
    with engine.begin() as connection:
        template_id = sql.insert_template(connection, name)
        sql.write_template_blocks(connection, template_id, drafts)
    return template_id


def list_templates(engine: Engine) -> list[Template]:
    """All templates, by name."""
    with engine.connect() as connection:
        return [
            Template(
                row["id"],
                row["name"],
                row["created_at"],
                row["updated_at"],
                tuple(row["followers"]),
                tuple(sql.template_blocks(connection, row["id"])),
            )
            for row in sql.list_templates(connection)
        ]


@retried
def edit_template(engine: Engine, template_id: UUID, drafts: Sequence[BlockDraft]) -> list[str]:
    """Replace the blocks of a template and of its followers; returns their displays.

    A follower's blocks with equal fields keep their ids, as when a playlist is edited.

    Raises:
        InvalidInputError: no blocks.
        NotFoundError: there is no such template.
    """
    check_drafts(drafts)
    with engine.begin() as connection:
        _lock(connection, template_id)
        rows.lock_displays(connection, set(sql.followers(connection, template_id).values()))
        # One may have been detached or deleted before its display was locked.
        following = sql.followers(connection, template_id)
        if sql.template_blocks(connection, template_id) == list(drafts):
            return []
        sql.write_template_blocks(connection, template_id, drafts)
        _write_followers(connection, following.keys(), set(following.values()), drafts)
    return sorted(set(following.values()))


def _write_followers(
    connection: Connection,
    playlist_ids: Collection[UUID],
    display_ids: set[str],
    drafts: Sequence[BlockDraft],
) -> None:
    """Write the blocks of followers: those with equal blocks (usually all) together."""
    alike: dict[tuple[tuple[object, ...], ...], list[Playlist]] = {}
    for playlist in rows.load_playlists(connection, display_ids):
        if playlist.id in playlist_ids:
            alike.setdefault(_fields(playlist), []).append(playlist)
    for group in alike.values():
        kept = keep_blocks(group[0].blocks, drafts)
        orders = [None if block is None else block.block_order for block in kept]
        sql.edit_followers(connection, [each.id for each in group], drafts, orders)


def _fields(playlist: Playlist) -> tuple[tuple[object, ...], ...]:
    return tuple(
        (b.search_term, b.video_count, b.fetch_mode, b.format, b.block_order)
        for b in playlist.blocks
    )


@retried
def rename_template(engine: Engine, template_id: UUID, name: str) -> None:
    """Rename a template; its followers keep their names.

    Raises:
        InvalidInputError: a blank name.
        NotFoundError: there is no such template.
    """
    name = check_name(name)
    with engine.begin() as connection:
        if not sql.rename_template(connection, template_id, name):
            raise TemplateNotFoundError(template_id)


@retried
def delete_template(engine: Engine, template_id: UUID) -> list[str]:
    """Delete a template; its followers become playlists of their own. Returns their displays.

    Raises:
        NotFoundError: there is no such template.
    """
    with engine.begin() as connection:
        _lock(connection, template_id)
        displays = sorted(set(sql.followers(connection, template_id).values()))
        if not sql.delete_template(connection, template_id):
            raise TemplateNotFoundError(template_id)
    return displays


def follow_template(
    connection: Connection, template_id: UUID, display_ids: Sequence[str]
) -> dict[str, UUID]:
    """Give displays a playlist that follows a template; returns display → playlist.

    A display that follows the template already keeps its playlist. The caller holds no locks yet;
    unknown displays are missing.

    Raises:
        NotFoundError: there is no such template.
    """
    name = _lock(connection, template_id, shared=True)
    there = rows.lock_displays(connection, display_ids)
    drafts = sql.template_blocks(connection, template_id)
    following = {
        display: playlist for playlist, display in sql.followers(connection, template_id).items()
    }
    for display_id in there:
        if display_id not in following:
            playlist_id = rows.insert_playlist(connection, display_id, name)
            rows.write_blocks(connection, playlist_id, drafts, [None] * len(drafts))
            sql.follow(connection, playlist_id, template_id)
            following[display_id] = playlist_id
    return {display_id: following[display_id] for display_id in there}


@retried
def detach_playlist(engine: Engine, playlist_id: UUID) -> str:
    """Let a playlist follow no template; what it plays stays. Returns its display.

    Raises:
        InvalidInputError: it follows none.
        NotFoundError: there is no such playlist.
    """
    with engine.begin() as connection:
        playlist = locked_playlist(connection, playlist_id)
        if sql.template_of(connection, playlist_id) is None:
            raise InvalidInputError("playlist_id", "follows no template")
        sql.detach(connection, playlist_id)
    return playlist.display_id


def templates_on(engine: Engine, display_id: str) -> dict[UUID, str]:
    """The names of the templates that a display's playlists follow, by playlist."""
    with engine.connect() as connection:
        return sql.templates_on(connection, display_id)


def _lock(connection: Connection, template_id: UUID, *, shared: bool = False) -> str:
    name = sql.lock_template(connection, template_id, shared=shared)
    if name is None:
        raise TemplateNotFoundError(template_id)
    return name
