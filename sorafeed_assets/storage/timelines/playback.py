"""SQL of playback: the state of displays, their last call, and what they show."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text

_SET_STATE: Final = text("""
UPDATE displays
SET playback_state = :state, is_playing = :state = 'playing', last_state_change = now()
WHERE id = :display_id AND (playback_state <> :state OR last_state_change IS NULL)
""")

# A display whose state was never set is playing.
_STATES: Final = text("""
SELECT id, CASE WHEN last_state_change IS NULL THEN 'playing' ELSE playback_state END AS state
FROM displays WHERE CAST(:ids AS text[]) IS NULL OR id = ANY(:ids)
""")

# An earlier call does not overwrite a later one. A display that is locked is skipped and noted
# with its next call, so that this statement never waits.
_SEEN: Final = text("""
WITH before AS (
    SELECT d.id, d.status FROM displays d
    WHERE d.id = ANY(CAST(:ids AS text[])) ORDER BY d.id FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE displays d
SET last_ping = greatest(d.last_ping, s.at),
    status = CASE WHEN greatest(d.last_ping, s.at) > :since THEN 'online' ELSE d.status END
FROM unnest(CAST(:ids AS text[]), CAST(:moments AS timestamptz[])) AS s (id, at), before b
WHERE d.id = s.id AND b.id = d.id
RETURNING d.id, d.status <> b.status AS has_changed
""")

_SILENT: Final = text("""
UPDATE displays SET status = 'offline'
WHERE id IN (
    SELECT id FROM displays
    WHERE status = 'online' AND (last_ping IS NULL OR last_ping <= :since)
    ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
)
RETURNING id
""")

_HEAD: Final = text("""
SELECT current_timeline_video_id FROM displays WHERE id = :display_id
""")


def set_playback_state(connection: Connection, display_id: str, state: str) -> bool:
    """Set a display's playback state; True when that changed it."""
    values = {"display_id": display_id, "state": state}
    return connection.execute(_SET_STATE, values).rowcount == 1


def playback_state(connection: Connection, display_id: str) -> str | None:
    """A display's playback state, None for an unknown display."""
    return playback_states(connection, [display_id]).get(display_id)


def playback_states(connection: Connection, ids: Collection[str] | None = None) -> dict[str, str]:
    """The playback states of those of ``ids`` that exist, or of all displays."""
    rows = connection.execute(_STATES, {"ids": None if ids is None else sorted(set(ids))})
    return {row.id: row.state for row in rows}


def record_calls(
    connection: Connection, calls: Mapping[str, datetime], since: datetime
) -> list[str]:
    """Store when displays last called; returns those that went online."""
    ids = sorted(calls)
    rows = connection.execute(
        _SEEN, {"ids": ids, "moments": [calls[display_id] for display_id in ids], "since": since}
    )
    return [row.id for row in rows if row.has_changed]


def mark_silent(connection: Connection, since: datetime) -> list[str]:
    """Set displays offline that have not called since then; returns them."""
    return list(connection.scalars(_SILENT, {"since": since}))


def head_of(connection: Connection, display_id: str) -> UUID | None:
    """The queue row at the head of a display."""
    found: UUID | None = connection.scalar(_HEAD, {"display_id": display_id})
    return found
