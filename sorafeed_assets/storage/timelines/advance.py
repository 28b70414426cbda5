"""SQL of advancing one display: one read, and one statement that does all of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, text

from sorafeed_assets.storage.timelines.reads import QueueRow
from sorafeed_assets.storage.timelines.writes import QUEUE_ROWS, NewRow, to_records

# All that advancing needs, in one round trip.
_HEAD: Final = """
SELECT d.timeline_position, d.loop_iteration, b.plan,
    (
        SELECT jsonb_agg(to_jsonb(t) - 'video_data' ORDER BY t.loop_iteration, t.timeline_position)
        FROM timeline_videos AS t
        WHERE t.display_id = d.id
    ) AS queue
FROM displays AS d
LEFT JOIN timeline_builds AS b ON b.id = d.active_build_id
WHERE d.id = :display_id
FOR NO KEY UPDATE OF d
"""

_PLAY: Final = """
SELECT h.timeline_video_id, h.video_id, h.played_at, h.was_skipped, d.loop_iteration,
    d.timeline_position, d.current_timeline_video_id, d.current_video_id,
    (SELECT count(*) FROM timeline_videos WHERE display_id = d.id) AS queued
FROM video_history AS h
JOIN displays AS d ON d.id = h.display_id
WHERE h.timeline_video_id = :timeline_video_id AND h.display_id = :display_id
"""

# One round trip, as every display advances this way all day. The playlist is locked before its
# rows are touched, in the order in which a delete locks them.
_ADVANCE: Final = f"""
WITH held AS MATERIALIZED (
    SELECT id FROM playlists WHERE id = :playlist_id FOR KEY SHARE
), gone AS (
    DELETE FROM timeline_videos
    WHERE id = ANY(CAST(:ids AS uuid[])) AND EXISTS (SELECT FROM held)
    RETURNING id, video_id, block_id, loop_iteration, status
), shown AS (
    SELECT *, coalesce(CAST(:played_at AS timestamptz), statement_timestamp()) AS played_at
    FROM gone
    WHERE id = :played OR status = 'playing'
), recorded AS (
    INSERT INTO video_history (display_id, video_id, block_id, loop_iteration, played_at,
        timeline_video_id, was_skipped)
    SELECT :display_id, video_id, block_id, loop_iteration, played_at, id,
        :skipped OR id <> :played
    FROM shown
    ON CONFLICT (timeline_video_id) DO NOTHING
), counted AS (
    UPDATE playlist_blocks AS b
    SET times_played = b.times_played + s.times, last_played_at = s.played_at
    FROM (
        SELECT block_id, count(*) AS times, max(played_at) AS played_at
        FROM shown
        GROUP BY block_id
    ) AS s
    WHERE b.id = s.block_id
), looped AS (
    UPDATE playlists AS p SET loop_count = p.loop_count + :loops
    WHERE p.id IN (SELECT id FROM held) AND :loops > 0
), begun AS (
    UPDATE timeline_videos SET status = 'playing' WHERE id = :head_id
), queued AS (
    {QUEUE_ROWS}
), moved AS (
    UPDATE displays
    SET timeline_position = :position, loop_iteration = :loop,
        current_timeline_video_id = :head_id, current_video_id = :head_video_id,
        current_block_id = :head_block_id,
        current_position = CASE WHEN CAST(:head_id AS uuid) IS NULL THEN NULL ELSE :position END,
        last_video_start_time = CASE WHEN CAST(:head_id AS uuid) IS NULL
            THEN last_video_start_time ELSE statement_timestamp() END
    WHERE id = :display_id
)
SELECT (SELECT played_at FROM shown WHERE id = :played) AS played_at,
    (SELECT count(*) FROM queued) AS queued
"""


@dataclass(frozen=True, slots=True)
class Head:
    """Where a display stands, its queue, and its active plan as stored (None without a build)."""

    timeline_position: int
    loop_iteration: int
    plan: Mapping[str, Any] | None
    queue: tuple[QueueRow, ...]


@dataclass(frozen=True, slots=True)
class PlayRow:
    """A recorded play, and where its display stands now."""

    timeline_video_id: UUID
    video_id: str
    played_at: datetime
    was_skipped: bool
    loop_iteration: int
    timeline_position: int
    current_timeline_video_id: UUID | None
    current_video_id: str | None
    queued: int


@dataclass(frozen=True, slots=True)
class Move:
    """One step of a display: the rows that go, the new head, the rows that come."""

    display_id: str
    playlist_id: UUID
    gone: Sequence[UUID]
    played: UUID
    played_at: datetime | None
    skipped: bool
    loop_iteration: int
    timeline_position: int
    finished_loops: int
    head: QueueRow | None
    new: Sequence[NewRow]


def load_head(connection: Connection, display_id: str) -> Head | None:
    """A display's place in its plan, None for an unknown one; its row is locked for a change."""
    row = connection.execute(text(_HEAD), {"display_id": display_id}).one_or_none()
    if row is None:
        return None
    queue = tuple(_queue_row(line) for line in row.queue or ())
    return Head(row.timeline_position, row.loop_iteration, row.plan, queue)


def _queue_row(line: Mapping[str, Any]) -> QueueRow:
    return QueueRow(
        UUID(line["id"]),
        line["display_id"],
        line["build_id"],
        UUID(line["playlist_id"]),
        UUID(line["block_id"]),
        line["video_id"],
        line["block_position"],
        line["timeline_position"],
        line["loop_iteration"],
        line["queue_slot"],
        line["status"],
    )


def load_play(connection: Connection, display_id: str, timeline_video_id: UUID) -> PlayRow | None:
    """The play of a queue row of this display, None when it was not played."""
    row = connection.execute(
        text(_PLAY), {"display_id": display_id, "timeline_video_id": timeline_video_id}
    ).one_or_none()
    return None if row is None else PlayRow(*row)


def advance(connection: Connection, move: Move) -> tuple[datetime | None, int]:
    """Record the plays, top up the queue and move the display, all at once.

    When it was played, None if the playlist is being deleted; and how many rows were queued.
    """
    row = connection.execute(
        text(_ADVANCE),
        {
            "display_id": move.display_id,
            "playlist_id": move.playlist_id,
            "ids": list(move.gone),
            "played": move.played,
            "played_at": move.played_at,
            "skipped": move.skipped,
            "loops": move.finished_loops,
            "loop": move.loop_iteration,
            "position": move.timeline_position,
            "head_id": None if move.head is None else move.head.id,
            "head_video_id": None if move.head is None else move.head.video_id,
            "head_block_id": None if move.head is None else move.head.block_id,
            "rows": to_records(move.new),
        },
    ).one()
    return row.played_at, row.queued
