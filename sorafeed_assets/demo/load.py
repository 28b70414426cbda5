"""Loading many generated rows: COPY straight in, or through a staging table where some exist."""

from collections.abc import Iterable, Sequence
from typing import Final, cast
from uuid import UUID

import psycopg
from sqlalchemy import Connection, text

from sorafeed_assets.demo.catalogue import Creator, Post

_SEED_LOCK: Final = 0x50FA_5EED

_POST_COLUMNS: Final = ", ".join(Post._fields)
_CREATOR_COLUMNS: Final = ", ".join(Creator._fields)

_COPY_POSTS: Final = f"COPY sora_posts ({_POST_COLUMNS}) FROM STDIN"
_STAGE_POSTS: Final = f"""
CREATE TEMPORARY TABLE staged_posts ON COMMIT DROP AS
SELECT {_POST_COLUMNS} FROM sora_posts WITH NO DATA
"""
_COPY_STAGED_POSTS: Final = f"COPY staged_posts ({_POST_COLUMNS}) FROM STDIN"
_INSERT_STAGED_POSTS: Final = f"""
INSERT INTO sora_posts ({_POST_COLUMNS})
SELECT {_POST_COLUMNS} FROM staged_posts ON CONFLICT (id) DO NOTHING
"""

_STAGE_CREATORS: Final = f"""
CREATE TEMPORARY TABLE staged_creators ON COMMIT DROP AS
SELECT {_CREATOR_COLUMNS} FROM creators WITH NO DATA
"""
_COPY_STAGED_CREATORS: Final = f"COPY staged_creators ({_CREATOR_COLUMNS}) FROM STDIN"
_INSERT_STAGED_CREATORS: Final = f"""
INSERT INTO creators ({_CREATOR_COLUMNS})
SELECT {_CREATOR_COLUMNS} FROM staged_creators ON CONFLICT (id) DO NOTHING
"""

_COUNT_POSTS: Final = "SELECT count(*) FROM sora_posts WHERE id = ANY(%s)"
_COUNT_CREATORS: Final = "SELECT count(*) FROM creators WHERE id = ANY(%s)"

_INSERT_DISPLAYS: Final = """
INSERT INTO displays (id, name)
SELECT * FROM unnest(%s::text[], %s::text[]) ON CONFLICT (id) DO NOTHING RETURNING id
"""
_INSERT_PLAYLISTS: Final = """
INSERT INTO playlists (display_id, name, total_blocks, total_videos)
SELECT * FROM unnest(%s::text[], %s::text[], %s::int[], %s::int[]) RETURNING display_id, id
"""
_COPY_BLOCKS: Final = """
COPY playlist_blocks (playlist_id, search_term, video_count, fetch_mode, format, block_order)
FROM STDIN
"""


def lock_seeding(connection: Connection) -> None:
    """Wait until no other transaction seeds; held until this one ends."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SEED_LOCK})


def count_existing_posts(connection: Connection, ids: Sequence[str]) -> int:
    """How many of these posts are stored."""
    return _count(connection, _COUNT_POSTS, ids)


def count_existing_creators(connection: Connection, ids: Sequence[str]) -> int:
    """How many of these creators are stored."""
    return _count(connection, _COUNT_CREATORS, ids)


def copy_posts(connection: Connection, posts: Iterable[Post]) -> int | None:
    """Store posts, twice as fast as `merge_posts`; how many, or None when one of them exists."""
    with connection.begin_nested() as savepoint:
        try:
            return _copy(connection, _COPY_POSTS, posts)
        except psycopg.errors.UniqueViolation:
            savepoint.rollback()
            return None


def merge_posts(connection: Connection, posts: Iterable[Post]) -> int:
    """Store the posts that do not exist; how many."""
    _psycopg(connection).execute(_STAGE_POSTS)
    _copy(connection, _COPY_STAGED_POSTS, posts)
    return _psycopg(connection).execute(_INSERT_STAGED_POSTS).rowcount


def merge_creators(connection: Connection, creators: Iterable[Creator]) -> int:
    """Store the creators that do not exist; how many."""
    _psycopg(connection).execute(_STAGE_CREATORS)
    _copy(connection, _COPY_STAGED_CREATORS, creators)
    return _psycopg(connection).execute(_INSERT_STAGED_CREATORS).rowcount


def insert_displays(
    connection: Connection, codes: Sequence[str], names: Sequence[str]
) -> list[str]:
    """Add the displays that do not exist; their codes, sorted."""
    added = _psycopg(connection).execute(_INSERT_DISPLAYS, [list(codes), list(names)])
    return sorted(code for (code,) in added)


def insert_playlists(
    connection: Connection,
    playlists: Sequence[tuple[str, str, int, int]],
    blocks: Sequence[Sequence[tuple[str, int, str, str, int]]],
) -> None:
    """Add one playlist for each display: (display, name, total blocks, total videos).

    ``blocks`` has those of each: (search term, video count, fetch mode, format, order).
    """
    columns = [list(column) for column in zip(*playlists, strict=True)]
    added: dict[str, UUID] = dict(
        _psycopg(connection).execute(_INSERT_PLAYLISTS, columns).fetchall()
    )
    _copy(
        connection,
        _COPY_BLOCKS,
        (
            (added[display_id], *block)
            for (display_id, *_), its_blocks in zip(playlists, blocks, strict=True)
            for block in its_blocks
        ),
    )


def _psycopg(connection: Connection) -> psycopg.Connection:
    # SQLAlchemy has no COPY; this is the connection, and the transaction, under it.
    return cast(psycopg.Connection, connection.connection.driver_connection)


def _count(connection: Connection, statement: str, ids: Sequence[str]) -> int:
    found = _psycopg(connection).execute(statement, [list(ids)]).fetchone()
    return found[0] if found else 0


def _copy(connection: Connection, statement: str, rows: Iterable[Sequence[object]]) -> int:
    with _psycopg(connection).cursor() as cursor:
        with cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)
        return cursor.rowcount
