"""SQL of the inputs of timelines: displays, builds and queues, for many displays at once."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

from sorafeed_assets.domain.timelines.plan import Schedule
from sorafeed_assets.domain.timelines.record import PlanInputs, inputs_from_json, schedule_from_json
from sorafeed_assets.storage.catalog.blocklist import is_excluded

_DISPLAYS: Final = """
SELECT id, timeline_position, loop_iteration, active_build_id, current_playlist_id,
    current_timeline_video_id, dedup_since, plan_problem
FROM displays
WHERE id = ANY(CAST(:display_ids AS text[]))
ORDER BY id
"""

_HOLD_PLAYLISTS: Final = """
SELECT id FROM playlists
WHERE id = ANY(CAST(:playlist_ids AS uuid[]))
ORDER BY id
FOR KEY SHARE
"""

_BUILDS: Final = """
SELECT b.id, b.display_id, b.playlist_id, b.playlist_version, b.content_hash, b.plan, b.inputs,
    b.planner
FROM displays AS d
JOIN timeline_builds AS b ON b.id = d.active_build_id
WHERE d.id = ANY(CAST(:display_ids AS text[]))
"""

_CREATOR: Final = "(SELECT p.creator_id FROM sora_posts AS p WHERE p.id = video_id)"
# A video on screen stays when its playlist is edited, but not when its post is excluded.
_QUEUES: Final = f"""
SELECT id, display_id, build_id, playlist_id, block_id, video_id, block_position,
    timeline_position, loop_iteration, queue_slot, status,
    EXISTS (SELECT FROM blocklist) AND {is_excluded("video_id", _CREATOR)} AS is_excluded
FROM timeline_videos
WHERE display_id = ANY(CAST(:display_ids AS text[]))
ORDER BY display_id, loop_iteration, timeline_position
"""


@dataclass(frozen=True, slots=True)
class DisplayRow:
    """A display's position: the head of its queue, as position and loop."""

    id: str
    timeline_position: int
    loop_iteration: int
    active_build_id: int | None
    current_playlist_id: UUID | None
    current_timeline_video_id: UUID | None
    dedup_since: datetime
    plan_problem: str | None


@dataclass(frozen=True, slots=True)
class Build:
    """A stored plan with what it was made from."""

    id: int
    display_id: str
    playlist_id: UUID
    playlist_version: str
    content_hash: str
    schedule: Schedule
    inputs: PlanInputs


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One row of a queue, without its video data; ``is_excluded`` by the blocklist."""

    id: UUID
    display_id: str
    build_id: int
    playlist_id: UUID
    block_id: UUID
    video_id: str
    block_position: int
    timeline_position: int
    loop_iteration: int
    queue_slot: int
    status: str
    is_excluded: bool = False


def hold_playlists(connection: Connection, playlist_ids: Collection[UUID]) -> set[UUID]:
    """Keep playlists from being deleted until the transaction ends; returns those that exist.

    A delete locks the playlist before its queue rows; other writers must use the same order.
    """
    rows = connection.execute(text(_HOLD_PLAYLISTS), {"playlist_ids": list(playlist_ids)})
    return set(rows.scalars())


def load_displays(connection: Connection, display_ids: Collection[str]) -> dict[str, DisplayRow]:
    """Displays by id; unknown ones are missing."""
    rows = connection.execute(text(_DISPLAYS), {"display_ids": list(display_ids)})
    return {row.id: DisplayRow(*row) for row in rows}


def load_builds(connection: Connection, display_ids: Collection[str]) -> dict[str, Build]:
    """The active build of each display that has one."""
    rows = connection.execute(text(_BUILDS), {"display_ids": list(display_ids)})
    return {
        row.display_id: Build(
            row.id,
            row.display_id,
            row.playlist_id,
            row.playlist_version,
            row.content_hash,
            schedule_from_json(row.plan),
            inputs_from_json(row.inputs, row.planner),
        )
        for row in rows
    }


def load_queues(connection: Connection, display_ids: Collection[str]) -> dict[str, list[QueueRow]]:
    """The queue of each display, in playing order; a display with an empty one is missing."""
    queues: dict[str, list[QueueRow]] = {}
    for row in connection.execute(text(_QUEUES), {"display_ids": list(display_ids)}):
        queues.setdefault(row.display_id, []).append(QueueRow(*row))
    return queues
