"""A file of the old system's web app: its tables, rows as it writes them, and its faults."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final
from uuid import UUID, uuid5

TABLES: Final = """
CREATE TABLE displays (id TEXT PRIMARY KEY, name TEXT NOT NULL, created_at TEXT, last_ping TEXT,
    status TEXT DEFAULT 'offline', current_video_id TEXT, current_position INTEGER,
    current_block_id TEXT, current_timeline_video_id TEXT, current_playlist_id TEXT,
    timeline_position INTEGER DEFAULT 0, commands TEXT DEFAULT '[]',
    playback_state TEXT DEFAULT 'idle', is_playing INTEGER DEFAULT 0, is_muted INTEGER DEFAULT 1,
    video_position REAL DEFAULT 0, last_state_change TEXT, last_video_start_time TEXT);
CREATE TABLE playlists (id TEXT PRIMARY KEY, display_id TEXT, name TEXT, created_at TEXT,
    updated_at TEXT, is_active INTEGER DEFAULT 0, total_blocks INTEGER, total_videos INTEGER,
    loop_count INTEGER DEFAULT 0);
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
_IDS: Final = UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")


def id_of(name: str) -> str:
    """The id of a row that tests call ``name``."""
    return str(uuid5(_IDS, name))


class OldFile:
    """An old file that tests write as the web app does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with closing(self.open()) as connection:
            connection.executescript(TABLES)

    def open(self) -> sqlite3.Connection:
        """A connection that commits each statement."""
        return sqlite3.connect(self.path, isolation_level=None)

    def run(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        """One statement."""
        with closing(self.open()) as connection:
            return connection.execute(statement, values).fetchall()

    def add(self, table: str, **columns: object) -> None:
        """One row."""
        names = ", ".join(columns)
        marks = ", ".join("?" * len(columns))
        self.run(f"INSERT INTO {table} ({names}) VALUES ({marks})", *columns.values())

    def add_display(self, code: str, name: str | None = None) -> None:
        """A display."""
        at = "2025-10-23 20:17:26"
        self.add("displays", id=code, name=name or f"Wall {code}", created_at=at)

    def add_playlist(
        self,
        code: str,
        name: str,
        blocks: Sequence[tuple[str, object]],
        *,
        active: bool = True,
        at: str = "2025-10-24 08:00:00",
    ) -> None:
        """A playlist of (search, video_count) blocks; its ids follow from its name."""
        self.add(
            "playlists",
            id=id_of(name),
            display_id=code,
            name=name,
            created_at=at,
            is_active=int(active),
            loop_count=3,
        )
        for order, (term, count) in enumerate(blocks):
            self.add(
                "playlist_blocks",
                id=id_of(f"{name}/{order}"),
                playlist_id=id_of(name),
                search_term=term,
                video_count=count,
                fetch_mode="newest",
                block_order=order + 1,
                created_at=at,
            )

    def add_play(self, code: str, video: str, at: str, number: int = 0) -> None:
        """A play."""
        self.add(
            "video_history",
            id=id_of(f"{code}/{video}/{number}"),
            display_id=code,
            video_id=video,
            loop_iteration=2,
            played_at=at,
        )

    def add_queued(self, code: str, videos: Sequence[str], copies: int = 1) -> None:
        """A queue, each position of which is there ``copies`` times."""
        for copy in range(copies):
            for position, video in enumerate(videos):
                self.add(
                    "timeline_videos",
                    id=id_of(f"{code}/{copy}/{position}"),
                    display_id=code,
                    video_id=video,
                    timeline_position=position,
                    loop_iteration=0,
                    video_data=video_data(video),
                    created_at="2025-10-24 09:00:00",
                )


def video_data(video: str) -> str:
    """A post as the feed gives it."""
    encodings = {"source": {"path": f"https://v/{video}.mp4"}, "md": {"path": f"https://m/{video}"}}
    return json.dumps(
        {
            "post": {
                "id": video,
                "text": f"A lost\x00 commercial \ud800 {video}",
                "posted_at": "1772366400.5",
                "permalink": f"https://x/p/{video}",
                "attachments": [{"width": 640, "height": 352, "encodings": encodings}],
            },
            "profile": {"user_id": "user-1", "username": "ann"},
        }
    )
