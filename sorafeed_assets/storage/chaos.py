"""SQL that only `sorafeed chaos` sends: faults, edits by plain SQL, and what became of them."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import psycopg
from psycopg import sql
from sqlalchemy import Connection, text

# Those of the engine and of Dagster, but not of this session.
_BACKENDS: Final = text("""
SELECT pid FROM pg_stat_activity
WHERE backend_type = 'client backend' AND datname <> 'postgres' AND pid <> pg_backend_pid()
    AND application_name <> :own
ORDER BY pid
""")
_ALLOW: Final = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
_END_SESSIONS: Final = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s
"""
_COUNT: Final = text("""
UPDATE playlist_blocks SET video_count = :count
WHERE playlist_id = (SELECT id FROM playlists WHERE display_id = :display AND is_active)
""")
_DELETE_QUEUED: Final = text("""
DELETE FROM sora_posts WHERE id = (
    SELECT video_id FROM timeline_videos
    WHERE display_id = :display AND NOT starts_with(video_id, :scanned)
    ORDER BY loop_iteration DESC, timeline_position DESC LIMIT 1)
""")
_EXCLUDE_QUEUED: Final = text("""
INSERT INTO blocklist (kind, target_id, excluded_by)
SELECT 'post', video_id, 'chaos' FROM timeline_videos WHERE display_id = :display
ORDER BY loop_iteration, timeline_position LIMIT 1
ON CONFLICT DO NOTHING
""")
_ALLOW_ALL: Final = text("DELETE FROM blocklist")
_SCAN: Final = text("""
INSERT INTO sora_posts (id, text, posted_at, indexed_at, width, height)
VALUES (:id, :text, :at, :at, :width, :height)
ON CONFLICT (id) DO NOTHING
""")
_STORED: Final = text("""
SELECT count(*) FROM sora_posts WHERE id = ANY(CAST(:ids AS text[]))
""")
_PLAYLISTS: Final = text("""
SELECT count(*) FROM playlists WHERE CAST(id AS text) = ANY(CAST(:ids AS text[]))
""")
_PLAYS: Final = text("""
SELECT CAST(timeline_video_id AS text) AS entry, display_id, bool_and(was_skipped) AS was_skipped,
    count(*) AS times
FROM video_history WHERE timeline_video_id IS NOT NULL
GROUP BY timeline_video_id, display_id
""")
_PLAYING_ELSE: Final = text("""
SELECT d.id FROM displays AS d
LEFT JOIN playlists AS p ON p.display_id = d.id AND p.is_active
WHERE EXISTS (
    SELECT FROM timeline_videos AS t
    WHERE t.display_id = d.id AND t.playlist_id IS DISTINCT FROM p.id)
ORDER BY d.id
""")
_RECORDED: Final = text("""
SELECT EXISTS (SELECT FROM lineage_records WHERE recorded_at > :since)
""")


SCANNED: Final = "chaos_"
"""The first letters of ids of posts that a run inserts; edits by SQL delete others only."""


class ScannedPost(NamedTuple):
    """A post as a scanner inserts it."""

    id: str
    text: str
    at: datetime
    width: int
    height: int


class StoredPlay(NamedTuple):
    """The rows of one queue entry in the history."""

    entry: str
    display_id: str
    was_skipped: bool
    times: int


def backends(connection: Connection, own: str) -> list[int]:
    """The process ids of sessions, except those of the application ``own``."""
    return list(connection.scalars(_BACKENDS, {"own": own}))


def allow_connections(server_url: str, database: str, *, allowed: bool) -> None:
    """Let sessions of a database begin, or end all and let none begin."""
    with psycopg.connect(server_url, autocommit=True, connect_timeout=5) as connection:
        word = sql.SQL("true" if allowed else "false")
        connection.execute(_ALLOW.format(sql.Identifier(database), word))
        if not allowed:
            connection.execute(_END_SESSIONS, [database])


def change_video_count(connection: Connection, display: str, count: int) -> None:
    """Change how many videos each block of a display's active playlist has."""
    connection.execute(_COUNT, {"display": display, "count": count})


def exclude_queued_post(connection: Connection, display: str) -> None:
    """Exclude the first post of a display's queue, which may be on screen."""
    connection.execute(_EXCLUDE_QUEUED, {"display": display})


def allow_all(connection: Connection) -> None:
    """Empty the blocklist."""
    connection.execute(_ALLOW_ALL)


def delete_queued_post(connection: Connection, display: str) -> None:
    """Delete the post that a display plays last of its queue, if the scanner did not insert it."""
    connection.execute(_DELETE_QUEUED, {"display": display, "scanned": SCANNED})


def scan(connection: Connection, posts: Sequence[ScannedPost]) -> None:
    """Store new posts, as a scanner does."""
    connection.execute(_SCAN, [post._asdict() for post in posts])


def count_posts_of(connection: Connection, ids: Collection[str]) -> int:
    """How many of these posts are stored."""
    return int(connection.scalar(_STORED, {"ids": list(ids)}) or 0)


def count_playlists_of(connection: Connection, ids: Collection[str]) -> int:
    """How many of these playlists are stored."""
    return int(connection.scalar(_PLAYLISTS, {"ids": list(ids)}) or 0)


def stored_plays(connection: Connection) -> list[StoredPlay]:
    """Every play that names its queue entry."""
    return [StoredPlay(*row) for row in connection.execute(_PLAYS)]


def playing_another(connection: Connection) -> list[str]:
    """The displays whose queue is of another playlist than the active one."""
    return list(connection.scalars(_PLAYING_ELSE))


def has_recorded_since(connection: Connection, since: datetime) -> bool:
    """Whether Dagster was given a lineage record after ``since``."""
    return bool(connection.scalar(_RECORDED, {"since": since}))
