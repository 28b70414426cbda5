"""Posts, displays and playlists for tests, written by plain SQL."""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from sorafeed_assets.services.cache.lineage import ADMIN, COUNTS
from sorafeed_assets.services.playlists.activation import Activation, activate
from sorafeed_assets.storage.playlists.rows import display_ids, lock_displays, undecided_displays
from sorafeed_assets.storage.postgres.locks import LockSpace, lock

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def add_posts(
    engine: Engine,
    words: str,
    count: int,
    *,
    prefix: str = "p",
    day: int = 0,
    size: tuple[int | None, int | None] = (640, 352),
) -> list[str]:
    """Add ``count`` posts about ``words``, a minute apart on day ``day``; returns their ids."""
    ids = [f"{prefix}_{words.replace(' ', '_')}_{day}_{n:04}" for n in range(count)]
    moments = [START + timedelta(days=day, minutes=n) for n in range(count)]
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO sora_posts (id, text, posted_at, indexed_at, width, height)"
                " VALUES (:id, :text, :at, :at, :width, :height)"
            ),
            [
                {"id": i, "text": f"A {words} number {i}", "at": at, "width": size[0],
                 "height": size[1]}
                for i, at in zip(ids, moments, strict=True)
            ],
        )  # fmt: skip
    return ids


def add_display(engine: Engine, display_id: str) -> str:
    """A display."""
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO displays (id, name) VALUES (:id, :id)"), {"id": display_id}
        )
    return display_id


def add_playlist(
    engine: Engine, display_id: str, blocks: Sequence[tuple[str, int]], *, mode: str = "newest"
) -> UUID:
    """A playlist of (search, video_count) blocks."""
    with engine.begin() as connection:
        playlist: UUID = connection.execute(
            text("INSERT INTO playlists (display_id, name) VALUES (:id, 'show') RETURNING id"),
            {"id": display_id},
        ).scalar_one()
        connection.execute(
            text(
                "INSERT INTO playlist_blocks (playlist_id, search_term, video_count, fetch_mode,"
                " block_order) VALUES (:playlist, :term, :count, :mode, :order)"
            ),
            [
                {"playlist": playlist, "term": term, "count": count, "mode": mode, "order": order}
                for order, (term, count) in enumerate(blocks)
            ],
        )
    return playlist


def activate_pending(engine: Engine, ids: Collection[str] | None = None) -> dict[str, Activation]:
    """Activate playlists, as settling does, for some displays or all."""
    with engine.begin() as connection:
        wanted = display_ids(connection, ids)
        lock_displays(connection, wanted)
        return activate(connection, wanted)


def undecided(engine: Engine) -> set[str]:
    """The displays whose active playlist is still to be chosen."""
    with engine.connect() as connection:
        return set(undecided_displays(connection))


def hold_snapshots(connection: Connection) -> None:
    """Keep every writer of Redis waiting until the transaction ends."""
    lock(connection, LockSpace.SNAPSHOT, [COUNTS, ADMIN, *display_ids(connection)])
