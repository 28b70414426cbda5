"""A small old side to try on: a generated catalogue in the old tables, and a file of queues.

It has the faults of a real one: a queue that holds its playlist eight times, most displays without
a playlist, posts of unknown time, and plays many of which are repeats.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID, uuid5

from sorafeed_assets.demo.catalogue import (
    Post,
    creators_for,
    generate_creators,
    generate_day,
    posts_of_day,
)
from sorafeed_assets.demo.playlists import REAL_PLAYLIST, demo_playlist
from sorafeed_assets.storage.legacy.old_tables import create_old_catalog, create_old_queues

DATABASE: Final = "sorafeed_legacy_demo"
_IDS: Final = UUID("9b1c1f0e-3a53-5d4f-8a41-0d7d0a1f2b6e")
_DISPLAYS: Final = 42
_WITH_PLAYLIST: Final = 6
_PLAYS: Final = 300
# So few that nearly four plays in ten are repeats.
_PLAYED: Final = 187
_COPIES: Final = 8
_SEED: Final = 1

_Table = list[dict[str, object]]


@dataclass(frozen=True, slots=True)
class OldSide:
    """Where the old side is."""

    catalog_url: str
    queues: Path


def build_old_side(server_url: str, folder: Path, *, posts: int, days: int, until: date) -> OldSide:
    """Build an old side on a PostgreSQL server and in a folder.

    Raises:
        InvalidInputError: there is one already.
    """
    wanted = [until - timedelta(days=back) for back in reversed(range(days))]
    shares = {day: posts_of_day(day, posts, days) for day in wanted}
    generated = [post for day, count in shares.items() for post in generate_day(day, count, _SEED)]
    path = folder / "legacy_demo.sqlite"
    create_old_queues(path, _queues(generated, until))
    creators = generate_creators(0, creators_for(max(shares.values())), _SEED)
    url = create_old_catalog(server_url, DATABASE, creators, _old_posts(generated))
    return OldSide(url, path)


def _old_posts(posts: list[Post]) -> Iterator[tuple[object, ...]]:
    for number, post in enumerate(posts):
        posted_at = 0 if number % 100 == 7 else int(post.posted_at.timestamp())
        yield (
            *post[:3],
            posted_at,
            *post[4:-1],
            f"{post.indexed_at.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}",
        )


def _queues(posts: list[Post], until: date) -> dict[str, _Table]:
    """The rows of the file: the first displays have playlists, the very first a broken queue."""
    noon = datetime(until.year, until.month, until.day, 12, tzinfo=UTC)
    tables: dict[str, _Table] = {
        name: []
        for name in (
            *("displays", "playlists", "playlist_blocks", "video_history", "timeline_videos"),
        )
    }
    for number in range(1, _DISPLAYS + 1):
        code = f"OLD{number:03}"
        tables["displays"].append(
            {"id": code, "name": f"Old display {number}", "created_at": _text(noon)}
        )
        if number <= _WITH_PLAYLIST:
            _add_playlist(tables, number, code, noon)
            _add_plays(tables["video_history"], code, posts, noon)
    wanted = sum(block.video_count for block in REAL_PLAYLIST)
    for copy in range(_COPIES):
        for position in range(wanted):
            post = posts[position % len(posts)]
            tables["timeline_videos"].append(
                {
                    "id": _id(f"queued/{copy}/{position}"),
                    "display_id": "OLD001",
                    "video_id": post.id,
                    "timeline_position": position,
                    "loop_iteration": 0,
                    "video_data": json.dumps({"post": {"id": post.id, "text": post.text}}),
                    "created_at": _text(noon),
                }
            )
    return tables


def _add_playlist(tables: dict[str, _Table], number: int, code: str, at: datetime) -> None:
    playlist = _id(f"playlist/{number}")
    tables["playlists"].append(
        {
            "id": playlist,
            "display_id": code,
            "name": "Imported playlist",
            "created_at": _text(at),
            "is_active": 1,
            "loop_count": number,
        }
    )
    for order, block in enumerate(demo_playlist(number, _SEED)):
        tables["playlist_blocks"].append(
            {
                "id": _id(f"block/{number}/{order}"),
                "playlist_id": playlist,
                "search_term": block.search_term,
                "video_count": block.video_count,
                "fetch_mode": block.fetch_mode.value,
                "format": block.format.value,
                "block_order": order,
                "created_at": _text(at),
            }
        )


def _add_plays(plays: _Table, code: str, posts: list[Post], noon: datetime) -> None:
    """Plays of a few posts again and again."""
    for number in range(_PLAYS):
        plays.append(
            {
                "id": _id(f"play/{code}/{number}"),
                "display_id": code,
                "video_id": posts[number * 7 % min(_PLAYED, len(posts))].id,
                "loop_iteration": number // 52,
                "played_at": _text(noon + timedelta(seconds=12 * number)),
            }
        )


def _text(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def _id(name: str) -> str:
    return str(uuid5(_IDS, name))
