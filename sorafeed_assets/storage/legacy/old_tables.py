"""The tables of the old system, as its programs create them, for a small old side to try on.

Only the demo writes them; what follows a real old side never does.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import psycopg
from psycopg import sql
from sqlalchemy import make_url

from sorafeed_assets.domain.errors import InvalidInputError

_EXISTS: Final = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = %s)"
_CREATE: Final = sql.SQL(
    "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER libc LOCALE 'C'"
)
_CATALOG: Final = """
CREATE TABLE creators (id text PRIMARY KEY, username text NOT NULL UNIQUE, display_name text,
    profile_picture_url text, permalink text, follower_count integer DEFAULT 0,
    following_count integer DEFAULT 0, post_count integer DEFAULT 0, verified boolean,
    first_seen timestamp DEFAULT CURRENT_TIMESTAMP, last_updated timestamp
    DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE sora_posts (id text PRIMARY KEY, creator_id text NOT NULL REFERENCES creators (id),
    text text, posted_at bigint NOT NULL, updated_at bigint, permalink text NOT NULL,
    video_url text, video_url_md text, thumbnail_url text, gif_url text, width integer,
    height integer, generation_id text, task_id text, like_count integer DEFAULT 0,
    view_count integer DEFAULT 0, remix_count integer DEFAULT 0,
    indexed_at timestamp DEFAULT CURRENT_TIMESTAMP,
    last_updated timestamp DEFAULT CURRENT_TIMESTAMP);
"""
# Built after the rows are there, as the old server has them.
_INDEXES: Final = """
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE INDEX ON sora_posts (creator_id);
CREATE INDEX ON sora_posts (posted_at DESC);
CREATE INDEX ON sora_posts (indexed_at DESC);
CREATE INDEX ON sora_posts USING gin (to_tsvector('english', text));
CREATE INDEX ON sora_posts USING gin (text gin_trgm_ops);
"""
_QUEUES: Final = """
CREATE TABLE displays (id TEXT PRIMARY KEY, name TEXT NOT NULL, created_at TEXT, last_ping TEXT,
    status TEXT DEFAULT 'offline', is_muted INTEGER DEFAULT 1);
CREATE TABLE playlists (id TEXT PRIMARY KEY, display_id TEXT, name TEXT, created_at TEXT,
    updated_at TEXT, is_active INTEGER DEFAULT 0, loop_count INTEGER DEFAULT 0);
CREATE TABLE playlist_blocks (id TEXT PRIMARY KEY, playlist_id TEXT, search_term TEXT,
    video_count INTEGER, fetch_mode TEXT DEFAULT 'random', format TEXT DEFAULT 'mixed',
    block_order INTEGER, created_at TEXT, times_played INTEGER DEFAULT 0, last_played_at TEXT);
CREATE TABLE timeline_videos (id TEXT PRIMARY KEY, display_id TEXT, playlist_id TEXT,
    block_id TEXT, video_id TEXT, block_position INTEGER, timeline_position INTEGER,
    loop_iteration INTEGER, status TEXT DEFAULT 'queued', played_at TEXT, video_data TEXT,
    created_at TEXT);
CREATE TABLE video_history (id TEXT PRIMARY KEY, display_id TEXT, video_id TEXT, block_id TEXT,
    loop_iteration INTEGER, played_at TEXT);
"""

CREATOR_COLUMNS: Final = (
    *("id", "username", "display_name", "profile_picture_url", "permalink", "follower_count"),
    *("following_count", "post_count", "verified"),
)
POST_COLUMNS: Final = (
    *("id", "creator_id", "text", "posted_at", "permalink", "video_url", "video_url_md"),
    *("thumbnail_url", "gif_url", "width", "height", "generation_id", "task_id", "indexed_at"),
)

Rows = Iterable[Sequence[object]]


def create_old_catalog(server_url: str, name: str, creators: Rows, posts: Rows) -> str:
    """Create a database of the old shape on a server, with rows; returns its address.

    Raises:
        InvalidInputError: there is such a database.
    """
    plain = make_url(server_url).set(drivername="postgresql")
    with psycopg.connect(plain.render_as_string(hide_password=False), autocommit=True) as server:
        if server.execute(_EXISTS, [name]).fetchone() == (True,):
            raise InvalidInputError(
                "name", f"{name} is a database on this server; drop it, or choose another name"
            )
        server.execute(_CREATE.format(sql.Identifier(name)))
    url = plain.set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        connection.execute(_CATALOG)
        _copy(connection, "creators", CREATOR_COLUMNS, creators)
        _copy(connection, "sora_posts", POST_COLUMNS, posts)
        connection.execute(_INDEXES)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ANALYZE")
    return url


def _copy(connection: psycopg.Connection, table: str, columns: Sequence[str], rows: Rows) -> None:
    names = sql.SQL(", ").join(map(sql.Identifier, columns))
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(table), names)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def create_old_queues(path: Path, tables: dict[str, list[dict[str, object]]]) -> None:
    """Create a file of the old shape with rows, by table.

    Raises:
        InvalidInputError: the file exists.
    """
    if path.exists():
        raise InvalidInputError("path", f"{path} exists; delete it, or choose another")
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(_QUEUES)
        for table, rows in tables.items():
            for row in rows:
                names, marks = ", ".join(row), ", ".join("?" * len(row))
                connection.execute(
                    f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values())
                )
        connection.commit()
