"""Writing small catalogues, displays and playlists by SQL, as other programs do."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Engine, text

FIRST_MOMENT: Final = datetime(2026, 1, 1, tzinfo=UTC)

Line = tuple[str, int] | tuple[str, int, str] | tuple[str, int, str, str]
"""A block: search term, video count, fetch mode (newest), format (mixed)."""


def run(engine: Engine, statement: str, **parameters: object) -> list[Any]:
    """Run one statement in a transaction of its own; returns its rows, if any."""
    with engine.begin() as connection:
        result = connection.execute(text(statement), parameters)
        return list(result) if result.returns_rows else []


def add_posts(
    engine: Engine,
    term: str,
    count: int,
    *,
    start: int = 0,
    size: tuple[int | None, int | None] = (640, 352),
) -> list[str]:
    """``count`` posts about ``term``, each posted a minute after the one before it; their ids."""
    ids = [f"{term}-{number:04}" for number in range(start, start + count)]
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO sora_posts (id, creator_id, text, posted_at, video_url, width, height)"
                " VALUES (:id, 'c1', :text, :posted_at, :url, :width, :height)"
            ),
            [
                {
                    "id": post_id,
                    "text": f"A video about {term}, {post_id}",
                    "posted_at": FIRST_MOMENT + timedelta(minutes=start + number),
                    "url": f"https://videos.example/{post_id}.mp4",
                    "width": size[0],
                    "height": size[1],
                }
                for number, post_id in enumerate(ids)
            ],
        )
    return ids


def add_display(engine: Engine, display_id: str) -> None:
    run(engine, "INSERT INTO displays (id, name) VALUES (:id, :id)", id=display_id)


def add_playlist(engine: Engine, display_id: str, lines: Sequence[Line]) -> UUID:
    """A playlist, active at once."""
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE playlists SET is_active = false WHERE display_id = :id"),
            {"id": display_id},
        )
        playlist_id: UUID = connection.execute(
            text(
                "INSERT INTO playlists (display_id, name, is_active, is_new)"
                " VALUES (:id, 'a playlist', true, false) RETURNING id"
            ),
            {"id": display_id},
        ).scalar_one()
        for order, line in enumerate(lines):
            add_block(connection, playlist_id, order, line)
    return playlist_id


def add_block(connection: Connection, playlist_id: UUID, order: int, line: Line) -> UUID:
    term, count, *rest = line
    mode, format_ = (*rest, *("newest", "mixed")[len(rest) :])
    block_id: UUID = connection.execute(
        text(
            "INSERT INTO playlist_blocks"
            " (playlist_id, search_term, video_count, fetch_mode, format, block_order)"
            " VALUES (:playlist_id, :term, :count, :mode, :format, :order) RETURNING id"
        ),
        {
            "playlist_id": playlist_id,
            "term": term,
            "count": count,
            "mode": mode,
            "format": format_,
            "order": order,
        },
    ).scalar_one()
    return block_id


def queue_of(engine: Engine, display_id: str) -> list[Any]:
    """The rows of a queue in playing order."""
    return run(
        engine,
        "SELECT * FROM timeline_videos WHERE display_id = :id"
        " ORDER BY loop_iteration, timeline_position",
        id=display_id,
    )


def videos_of(engine: Engine, display_id: str) -> list[str]:
    """The video ids of a queue in playing order."""
    return [row.video_id for row in queue_of(engine, display_id)]


def fill_pools(engine: Engine, term: str, size: int) -> None:
    """Count ``term``, and keep its newest and random candidates per shape."""
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO search_terms (term, phrase, counted_at) VALUES (:term, :term, now())"
                " ON CONFLICT (term) DO NOTHING"
            ),
            {"term": term},
        )
        connection.execute(text("DELETE FROM video_candidates WHERE term = :term"), {"term": term})
        connection.execute(
            text(
                """
                INSERT INTO video_candidates
                    (term, size_class, pool, post_id, posted_at, id_hash)
                SELECT :term, size_class, pool, id, posted_at, id_hash
                FROM (
                    SELECT *, 'newest' AS pool, row_number() OVER (
                        PARTITION BY size_class ORDER BY posted_at DESC, id DESC) AS rank
                    FROM sora_posts WHERE text ILIKE '%' || :term || '%'
                    UNION ALL
                    SELECT *, 'random', row_number() OVER (
                        PARTITION BY size_class ORDER BY id_hash, id)
                    FROM sora_posts WHERE text ILIKE '%' || :term || '%'
                ) AS ranked
                WHERE rank <= :size
                """
            ),
            {"term": term, "size": size},
        )
