"""Copying the old catalogue: everything once, then what is new.

Posts indexed before the *safe point* are all visible, so they are copied in their order after a
stored cursor, and each only once. Those after it, the *tail*, may still be joined by late ones:
their ids are read at each pass, and the missing ones are copied.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Connection, Engine

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.storage.legacy import posts as ours
from sorafeed_assets.storage.legacy.old_catalog import OldCatalog
from sorafeed_assets.storage.postgres.indexes import analyze, indexes_built_after

CREATORS: Final = "creators"
POSTS: Final = "posts"
_POSTS_TABLE: Final = "sora_posts"
OVERLAP: Final = timedelta(minutes=5)
"""How late a post may become visible, where the old server does not show its transactions."""
FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Before every post that has a usable time."""
_CHUNK: Final = 20_000
# From this size on, building the indexes once costs less than updating them row by row.
_LARGE: Final = 50_000

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Copied:
    """What a pass stored: new posts, and creators that are new or differed."""

    posts: int
    creators: int


def check_readable(old: OldCatalog) -> None:
    """Refuse a catalogue that cannot be copied.

    Raises:
        SetupError: naming every problem.
    """
    server = old.inspect()
    if server.problems:
        listed = "\n  ".join(server.problems)
        raise SetupError(f"the old catalogue at {server.where} cannot be copied:\n  {listed}")


def import_catalog(
    engine: Engine, old: OldCatalog, on_progress: Progress, *, chunk: int = _CHUNK
) -> Copied:
    """Copy what is not copied yet; after an interruption it continues where it was.

    Raises:
        SetupError: the old catalogue cannot be copied; nothing is written.
    """
    check_readable(old)
    total = old.estimate(_POSTS_TABLE)
    with indexes_built_after(
        engine,
        lambda done, all_: on_progress("Building indexes", done, all_),
        may_drop=total >= _LARGE,
    ):
        creators = _copy_creators(engine, old, on_progress)
        copied = follow_catalog(engine, old, on_progress, chunk=chunk)
        undated = copy_undated(engine, old)
    if total >= _LARGE and copied.posts:
        analyze(engine)
    return Copied(copied.posts + undated, creators + copied.creators)


def follow_catalog(
    engine: Engine,
    old: OldCatalog,
    on_progress: Progress = lambda *_: None,
    *,
    chunk: int = _CHUNK,
) -> Copied:
    """Copy the posts that are new since the last pass, with their creators."""
    # Read first: what commits between it and the next statements is in the tail or visible.
    safe = old.safe_point(OVERLAP)
    posts = creators = done = total = 0
    while True:
        with engine.begin() as connection:
            cursor = ours.lock_cursor(connection, POSTS, FIRST)
            after = (cursor.indexed_at or FIRST, cursor.id)
            staged = ours.stage_posts(connection, old.copy_chunk(after, safe, chunk))
            if staged is None:
                ours.move_cursor(connection, POSTS, *max(after, (safe, "")))
                ours.complete(connection, POSTS)
                break
            copied = _store_staged(connection, old)
            ours.move_cursor(connection, POSTS, staged.indexed_at, staged.id)
        posts, creators = posts + copied.posts, creators + copied.creators
        done += staged.posts
        total = total or old.estimate(_POSTS_TABLE)
        on_progress("Copying posts", done, max(done, total))
    tail = _copy_tail(engine, old, safe)
    return Copied(posts + tail.posts, creators + tail.creators)


def _copy_tail(engine: Engine, old: OldCatalog, safe: datetime) -> Copied:
    ids = old.tail(safe)
    with engine.begin() as connection:
        missing = ours.unknown_posts(connection, ids)
        if not missing:
            return Copied(0, 0)
        ours.stage_posts(connection, old.copy_posts(missing))
        return _store_staged(connection, old)


def _store_staged(connection: Connection, old: OldCatalog) -> Copied:
    """Store staged posts, and their creators: the scanner changes a creator with a new post."""
    began = ours.lock_cursor(connection, CREATORS, FIRST).indexed_at or FIRST
    wanted = ours.staged_creators(connection, began)
    posts = ours.add_staged_posts(connection)
    creators = ours.replace_creators(connection, old.copy_creators(wanted)) if wanted else 0
    return Copied(posts, creators)


def _copy_creators(engine: Engine, old: OldCatalog, on_progress: Progress) -> int:
    """Copy all creators once; those that change later come with their next post."""
    began = old.safe_point(OVERLAP)
    total = old.estimate(CREATORS)
    written = done = 0
    while True:
        with engine.begin() as connection:
            cursor = ours.lock_cursor(connection, CREATORS, began)
            if cursor.is_complete:
                return written
            last = old.last_creator(cursor.id, _CHUNK)
            if last is None:
                ours.complete(connection, CREATORS)
                return written
            blocks = old.copy_creators_between(cursor.id, last)
            written += ours.replace_creators(connection, blocks)
            ours.move_cursor(connection, CREATORS, cursor.indexed_at or began, last)
        done += _CHUNK
        on_progress("Copying creators", min(done, total), total)


def copy_undated(engine: Engine, old: OldCatalog) -> int:
    """Copy posts without a usable indexed_at, which are few, and never in the order of others."""
    with engine.begin() as connection:
        if ours.stage_posts(connection, old.copy_undated()) is None:
            return 0
        written = ours.replace_staged_posts(connection)
        wanted = ours.staged_creators(connection, FIRST)
        if wanted:
            ours.replace_creators(connection, old.copy_creators(wanted))
        return written
