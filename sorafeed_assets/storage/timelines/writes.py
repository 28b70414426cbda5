"""Every write to builds and queues; only the timeline service calls these."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import Connection, text

from sorafeed_assets.domain.timelines.plan import Schedule
from sorafeed_assets.domain.timelines.record import PlanInputs, inputs_to_json, schedule_to_json
from sorafeed_assets.storage.catalog.blocklist import is_excluded

_KEPT_BUILDS: Final = 5

# As one document, because in an array the driver would escape each quote of the JSON.
_INSERT_BUILDS: Final = """
INSERT INTO timeline_builds (display_id, playlist_id, playlist_version, loop_iteration,
    inputs, plan, dry_blocks, content_hash, planner)
SELECT display_id, playlist_id, playlist_version, loop_iteration,
    inputs, plan, dry_blocks, content_hash, planner
FROM jsonb_to_recordset(CAST(:builds AS jsonb)) AS new (display_id text, playlist_id uuid,
    playlist_version text, loop_iteration integer, inputs jsonb, plan jsonb, dry_blocks jsonb,
    content_hash text, planner text)
RETURNING display_id, id
"""

_DROP_OLD_BUILDS: Final = """
DELETE FROM timeline_builds
USING (
    SELECT id, row_number() OVER (PARTITION BY display_id ORDER BY id DESC) AS age
    FROM timeline_builds
    WHERE display_id = ANY(CAST(:display_ids AS text[]))
) AS aged
WHERE timeline_builds.id = aged.id AND aged.age > :kept
"""

_DELETE_ROWS: Final = "DELETE FROM timeline_videos WHERE id = ANY(CAST(:ids AS uuid[]))"

_MOVE_ROWS: Final = """
UPDATE timeline_videos AS t
SET build_id = r.build_id, queue_slot = r.queue_slot,
    loop_iteration = r.loop_iteration, timeline_position = r.timeline_position
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (id uuid, build_id bigint,
    queue_slot smallint, loop_iteration integer, timeline_position integer)
WHERE t.id = r.id
"""

# A deleted or excluded post ends the queue of its display, because a queue has no gaps.
QUEUE_ROWS: Final = f"""
INSERT INTO timeline_videos (display_id, build_id, playlist_id, block_id, video_id,
    block_position, timeline_position, loop_iteration, queue_slot, video_data)
SELECT display_id, build_id, playlist_id, block_id, video_id, block_position,
    timeline_position, loop_iteration, queue_slot, video_data
FROM (
    SELECT r.*,
        bool_and(p.id IS NOT NULL AND NOT {is_excluded("p.id", "p.creator_id")}) OVER (
            PARTITION BY r.display_id ORDER BY r.loop_iteration, r.timeline_position
        ) AS is_there,
        jsonb_build_object(
            'id', p.id, 'text', left(p.text, 280),
            'video_url', p.video_url, 'video_url_md', p.video_url_md,
            'thumbnail_url', p.thumbnail_url, 'gif_url', p.gif_url,
            'width', p.width, 'height', p.height,
            'posted_at', p.posted_at, 'permalink', p.permalink,
            'creator', jsonb_build_object(
                'username', c.username, 'display_name', c.display_name)
        ) AS video_data
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (display_id text, build_id bigint,
        playlist_id uuid, block_id uuid, video_id text, block_position integer,
        timeline_position integer, loop_iteration integer, queue_slot smallint)
    LEFT JOIN sora_posts AS p ON p.id = r.video_id
    LEFT JOIN creators AS c ON c.id = p.creator_id
) AS new
WHERE is_there
RETURNING display_id, id, block_id, video_id, loop_iteration, timeline_position, queue_slot, status,
    video_data
"""

# current_* always describe the head of the queue. The ids are passed too, because the planner
# assumes a hundred rows for any JSON, for which it would scan the whole table.
_SET_DISPLAYS: Final = """
UPDATE displays AS d
SET active_build_id = r.build_id, timeline_position = r.timeline_position,
    loop_iteration = r.loop_iteration, current_playlist_id = r.playlist_id,
    current_timeline_video_id = h.id, current_video_id = h.video_id,
    current_block_id = h.block_id, current_position = h.timeline_position,
    dedup_since = CASE WHEN r.fresh THEN clock_timestamp() ELSE d.dedup_since END
FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r (id text, build_id bigint,
    playlist_id uuid, timeline_position integer, loop_iteration integer, fresh boolean)
LEFT JOIN timeline_videos AS h ON h.display_id = r.id
    AND h.loop_iteration = r.loop_iteration AND h.timeline_position = r.timeline_position
WHERE d.id = r.id AND d.id = ANY(CAST(:ids AS text[]))
"""

_SET_PLAN_PROBLEMS: Final = """
UPDATE displays AS d
SET plan_problem = r.problem
FROM unnest(CAST(:ids AS text[]), CAST(:problems AS text[])) AS r (id, problem)
WHERE d.id = r.id
"""

_COUNT_LOOPS: Final = """
UPDATE playlists AS p
SET loop_count = p.loop_count + r.loops
FROM unnest(CAST(:playlist_ids AS uuid[]), CAST(:loops AS integer[])) AS r (id, loops)
WHERE p.id = r.id
"""

_MARK_PLAYING: Final = """
UPDATE timeline_videos AS t
SET status = 'playing'
FROM displays AS d
WHERE d.id = ANY(CAST(:display_ids AS text[])) AND t.display_id = d.id
    AND t.loop_iteration = d.loop_iteration AND t.timeline_position = d.timeline_position
    AND t.status = 'queued'
"""

_BEGIN_HEAD: Final = """
WITH begun AS (
    UPDATE timeline_videos AS t
    SET status = 'playing'
    FROM displays AS d
    WHERE d.id = :display_id AND t.id = d.current_timeline_video_id AND t.id = :head
        AND t.status = 'queued'
    RETURNING t.id
)
UPDATE displays SET last_video_start_time = statement_timestamp()
WHERE id = :display_id AND EXISTS (SELECT FROM begun)
"""


@dataclass(frozen=True, slots=True)
class NewBuild:
    """A plan to store."""

    display_id: str
    playlist_id: UUID
    playlist_version: str
    loop_iteration: int
    schedule: Schedule
    inputs: PlanInputs
    content_hash: str


@dataclass(frozen=True, slots=True)
class NewRow:
    """A row to queue; the insert adds its video data."""

    display_id: str
    build_id: int
    playlist_id: UUID
    block_id: UUID | str
    video_id: str
    block_position: int
    timeline_position: int
    loop_iteration: int
    queue_slot: int


@dataclass(frozen=True, slots=True)
class MovedRow:
    """The new place of a row that stays."""

    id: UUID
    build_id: int
    queue_slot: int
    loop_iteration: int
    timeline_position: int


@dataclass(frozen=True, slots=True)
class DisplayState:
    """The new state of a display; ``fresh`` sets dedup_since to now."""

    id: str
    build_id: int | None
    playlist_id: UUID | None
    timeline_position: int
    loop_iteration: int
    fresh: bool = False


def store_builds(connection: Connection, builds: Sequence[NewBuild]) -> dict[str, int]:
    """Store plans, and drop all but the last five of each display; returns the new ids."""
    if not builds:
        return {}
    stored = [
        {
            "display_id": build.display_id,
            "playlist_id": build.playlist_id,
            "playlist_version": build.playlist_version,
            "loop_iteration": build.loop_iteration,
            "inputs": inputs_to_json(build.inputs),
            "plan": schedule_to_json(build.schedule),
            "dry_blocks": build.schedule.loops[0].dry_blocks,
            "content_hash": build.content_hash,
            "planner": build.inputs.planner,
        }
        for build in builds
    ]
    rows = connection.execute(text(_INSERT_BUILDS), {"builds": to_records(stored)})
    ids: dict[str, int] = {row.display_id: row.id for row in rows}
    connection.execute(text(_DROP_OLD_BUILDS), {"display_ids": list(ids), "kept": _KEPT_BUILDS})
    return ids


def delete_rows(connection: Connection, ids: Collection[UUID]) -> None:
    """Delete rows from their queues."""
    if ids:
        connection.execute(text(_DELETE_ROWS), {"ids": list(ids)})


def move_rows(connection: Connection, rows: Sequence[MovedRow]) -> None:
    """Give rows their build, slot and place."""
    if rows:
        connection.execute(text(_MOVE_ROWS), {"rows": to_records(rows)})


def queue_rows(connection: Connection, rows: Sequence[NewRow]) -> int:
    """Queue videos; returns how many. A display's rows from a deleted or excluded post on are left
    out."""
    if not rows:
        return 0
    return len(connection.execute(text(QUEUE_ROWS), {"rows": to_records(rows)}).all())


def set_displays(connection: Connection, states: Sequence[DisplayState]) -> None:
    """Point displays at their builds and the heads of their queues."""
    if states:
        values = {"rows": to_records(states), "ids": [state.id for state in states]}
        connection.execute(text(_SET_DISPLAYS), values)


def set_plan_problems(connection: Connection, problems: Mapping[str, str | None]) -> None:
    """Store why displays could not be planned; None for one that could."""
    if problems:
        connection.execute(
            text(_SET_PLAN_PROBLEMS),
            {"ids": list(problems), "problems": list(problems.values())},
        )


def count_loops(connection: Connection, finished: dict[UUID, int]) -> None:
    """Add finished loops to the playlists' loop_count."""
    if finished:
        connection.execute(
            text(_COUNT_LOOPS),
            {"playlist_ids": list(finished), "loops": list(finished.values())},
        )


def mark_playing(connection: Connection, display_ids: Collection[str]) -> None:
    """The heads of these queues are being shown."""
    connection.execute(text(_MARK_PLAYING), {"display_ids": list(display_ids)})


def begin_head(connection: Connection, display_id: str, head: UUID) -> bool:
    """Mark the head as playing; False when it was playing already, or is another row."""
    values = {"display_id": display_id, "head": head}
    return connection.execute(text(_BEGIN_HEAD), values).rowcount == 1


def to_records(rows: Sequence[Any]) -> str:
    """Rows as JSON for `jsonb_to_recordset`."""
    return orjson.dumps(rows).decode()
