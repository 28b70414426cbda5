"""SQL of plays that are reported after the server was away."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from sorafeed_assets.storage.timelines.advance import PlayRow
from sorafeed_assets.storage.timelines.writes import to_records

# A row takes the id under which the player reported its play. One of several windows of a display
# may have reported it already; then the row is gone, or has that window's id.
_NAME_ROWS: Final = text("""
UPDATE timeline_videos AS t SET id = r.entry
FROM (
    SELECT DISTINCT ON (loop_iteration, timeline_position) *
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (number integer, entry uuid, block_id uuid,
        video_id text, loop_iteration integer, timeline_position integer)
    ORDER BY loop_iteration, timeline_position, number
) AS r
WHERE t.display_id = :display_id AND t.loop_iteration = r.loop_iteration
    AND t.timeline_position = r.timeline_position AND t.block_id = r.block_id
    AND t.video_id = r.video_id AND t.id <> r.entry
    AND NOT EXISTS (SELECT FROM timeline_videos AS o WHERE o.id = r.entry)
    AND NOT EXISTS (SELECT FROM video_history AS h WHERE h.timeline_video_id = r.entry)
""")

# The plays of a block that still exists are counted, like those that move the display.
_ADD_PLAYS: Final = text("""
WITH told AS MATERIALIZED (
    SELECT * FROM jsonb_to_recordset(CAST(:plays AS jsonb)) AS r (entry uuid, block_id uuid,
        video_id text, loop_iteration integer, was_skipped boolean, played_at timestamptz)
), recorded AS (
    INSERT INTO video_history (display_id, video_id, block_id, loop_iteration, played_at,
        timeline_video_id, was_skipped)
    SELECT :display_id, video_id, block_id, loop_iteration, coalesce(played_at, now()), entry,
        was_skipped
    FROM told
    ON CONFLICT (timeline_video_id) DO NOTHING
    RETURNING block_id, timeline_video_id, video_id, played_at, was_skipped
), counted AS (
    UPDATE playlist_blocks AS b
    SET times_played = b.times_played + s.times,
        last_played_at = greatest(b.last_played_at, s.played_at)
    FROM (
        SELECT block_id, count(*) AS times, max(played_at) AS played_at
        FROM recorded GROUP BY block_id
    ) AS s
    WHERE b.id = s.block_id
)
SELECT timeline_video_id, :display_id AS display_id, video_id, played_at, was_skipped FROM recorded
""")


@dataclass(frozen=True, slots=True)
class ToldRow:
    """A position of a plan that a player reported as played, under its own id."""

    number: int
    entry: UUID
    block_id: UUID
    video_id: str
    loop_iteration: int
    timeline_position: int


@dataclass(frozen=True, slots=True)
class UnqueuedPlay:
    """A play of a video that the queue does not have."""

    entry: UUID
    block_id: UUID
    video_id: str
    loop_iteration: int
    was_skipped: bool
    played_at: datetime | None


def name_rows(connection: Connection, display_id: str, rows: Sequence[ToldRow]) -> int:
    """Give queue rows the ids under which a player reported them; returns how many have a new one.

    The caller has locked the display and its playlist.
    """
    values = {"display_id": display_id, "rows": to_records(rows)}
    return connection.execute(_NAME_ROWS, values).rowcount


def add_plays(
    connection: Connection, display_id: str, plays: Sequence[UnqueuedPlay]
) -> list[PlayRow]:
    """Record plays without moving the display; returns those that were not recorded before."""
    values = {"display_id": display_id, "plays": to_records(plays)}
    return [PlayRow(*row) for row in connection.execute(_ADD_PLAYS, values).all()]
