"""An old side: a database with the old tables, and what its scanner writes."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import psycopg
from psycopg import sql

from sorafeed_assets.launch.embedded import EmbeddedPostgres

# What is added to an address, so that the scanner writes here; the operator class of its index of
# trigrams is in `public`.
OPTIONS: Final = "options=-c%20search_path%3Dscanner%2Cpublic"
START: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)

# What the scanner creates when it opens a database.
TABLES: Final = """
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE TABLE IF NOT EXISTS creators (
    id TEXT PRIMARY KEY, username TEXT NOT NULL UNIQUE, display_name TEXT,
    profile_picture_url TEXT, permalink TEXT, follower_count INTEGER DEFAULT 0,
    following_count INTEGER DEFAULT 0, post_count INTEGER DEFAULT 0,
    verified BOOLEAN DEFAULT FALSE, first_seen TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    last_updated TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE IF NOT EXISTS sora_posts (
    id TEXT PRIMARY KEY, creator_id TEXT NOT NULL REFERENCES creators (id), text TEXT,
    posted_at BIGINT NOT NULL, updated_at BIGINT, permalink TEXT NOT NULL, video_url TEXT,
    video_url_md TEXT, thumbnail_url TEXT, gif_url TEXT, width INTEGER, height INTEGER,
    generation_id TEXT, task_id TEXT, like_count INTEGER DEFAULT 0, view_count INTEGER DEFAULT 0,
    remix_count INTEGER DEFAULT 0, indexed_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    last_updated TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
CREATE INDEX IF NOT EXISTS idx_posts_creator ON sora_posts (creator_id);
CREATE INDEX IF NOT EXISTS idx_posts_posted_at ON sora_posts (posted_at DESC);
CREATE INDEX IF NOT EXISTS idx_posts_indexed_at ON sora_posts (indexed_at DESC);
CREATE INDEX IF NOT EXISTS idx_posts_words ON sora_posts USING gin (to_tsvector('english', text));
CREATE INDEX IF NOT EXISTS idx_posts_trigrams ON sora_posts USING gin (text gin_trgm_ops);
CREATE TABLE IF NOT EXISTS scanner_stats (
    id INTEGER PRIMARY KEY DEFAULT 1, total_scanned INTEGER DEFAULT 0, status TEXT,
    last_scan_at TIMESTAMP);
ALTER TABLE scanner_stats ADD COLUMN IF NOT EXISTS total_errors INTEGER DEFAULT 0;
"""
LOOK_UP: Final = "SELECT id FROM sora_posts WHERE id = %s"
ADD_CREATOR: Final = """
INSERT INTO creators (id, username, display_name, profile_picture_url, permalink, follower_count,
    following_count, post_count, verified)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET username = EXCLUDED.username, display_name = EXCLUDED.display_name,
    profile_picture_url = EXCLUDED.profile_picture_url, permalink = EXCLUDED.permalink,
    follower_count = EXCLUDED.follower_count, following_count = EXCLUDED.following_count,
    post_count = EXCLUDED.post_count, verified = EXCLUDED.verified,
    last_updated = CURRENT_TIMESTAMP
"""
ADD_POST: Final = """
INSERT INTO sora_posts (id, creator_id, text, posted_at, permalink, video_url, video_url_md,
    thumbnail_url, gif_url, width, height, generation_id, task_id)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (id) DO NOTHING
"""


@dataclass(frozen=True, slots=True)
class OldPost:
    """A post as the scanner found it."""

    id: str
    creator: str = "ann"
    text: str | None = "A commercial about tea"
    posted_at: int = 1_772_366_400
    size: tuple[int | None, int | None] = (640, 352)
    followers: int = 5


@contextmanager
def old_database(postgres: EmbeddedPostgres, name: str, encoding: str = "UTF8") -> Iterator[str]:
    """A database with these tables, in a locale of the C library as the old server's is."""
    database = sql.Identifier(name)
    locale = "C.UTF-8" if encoding == "UTF8" else "C"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(
            sql.SQL(
                "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LOCALE_PROVIDER libc LOCALE {}"
            ).format(database, encoding, locale)
        )
    url = postgres.url(name)
    with psycopg.connect(url) as connection:
        connection.execute(TABLES)
    yield url
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(database))


def scan(connection: psycopg.Connection, posts: Iterable[OldPost]) -> None:
    """Write posts with the scanner's statements, in the caller's transaction."""
    for post in posts:
        if connection.execute(LOOK_UP, [post.id]).fetchone():
            continue
        name = post.creator
        connection.execute(
            ADD_CREATOR,
            [name, f"user_{name}", name, None, f"https://x/{name}", post.followers, 1, 2, None],
        )
        connection.execute(
            ADD_POST,
            [
                *(post.id, name, post.text, post.posted_at, f"https://x/p/{post.id}"),
                *(f"https://v/{post.id}.mp4", None, None, None, *post.size, "gen", "task"),
            ],
        )


def add_old_posts(
    url: str, count: int, *, prefix: str = "s", day: int = 0, minutes: float = 1.0
) -> list[str]:
    """Add posts that were indexed on day ``day``; returns their ids."""
    posts = [OldPost(f"{prefix}_{day}_{number:05}", f"c{number % 7}") for number in range(count)]
    with psycopg.connect(url) as connection:
        scan(connection, posts)
        for number, post in enumerate(posts):
            at = START + timedelta(days=day, minutes=number * minutes)
            set_indexed(connection, [post.id], at)
    return [post.id for post in posts]


def set_indexed(connection: psycopg.Connection, ids: Sequence[str], at: datetime | None) -> None:
    """Set when posts were indexed."""
    naive = None if at is None else f"{at:%Y-%m-%d %H:%M:%S.%f}"
    connection.execute(
        "UPDATE sora_posts SET indexed_at = CAST(%s AS timestamp) WHERE id = ANY(%s)",
        [naive, list(ids)],
    )
