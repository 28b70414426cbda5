"""SQL of remote control: the sound and the place that players are told, and what they report."""

from typing import Any, Final

from sqlalchemy import Connection, RowMapping, text

from sorafeed_assets.domain.digest import canonical_json

_SOUND: Final = text("""
WITH muted AS (
    UPDATE displays SET is_muted = CAST(:is_muted AS boolean)
    WHERE id = :display_id AND is_muted <> CAST(:is_muted AS boolean)
)
INSERT INTO display_remotes AS r (display_id, volume, sound_id)
SELECT id, coalesce(CAST(:volume AS integer), 100), uuidv7() FROM displays WHERE id = :display_id
ON CONFLICT (display_id) DO UPDATE
SET volume = coalesce(CAST(:volume AS integer), r.volume), sound_id = excluded.sound_id
""")

# Only of the video that is on screen.
_SEEK: Final = text("""
INSERT INTO display_remotes (display_id, seek_id, seek_entry, seek_seconds)
SELECT id, uuidv7(), current_timeline_video_id, :seconds
FROM displays WHERE id = :display_id AND current_timeline_video_id IS NOT NULL
ON CONFLICT (display_id) DO UPDATE
SET (seek_id, seek_entry, seek_seconds)
    = ROW(excluded.seek_id, excluded.seek_entry, excluded.seek_seconds)
""")

_READ: Final = text("""
SELECT d.id, d.status = 'online' AS is_online,
       CASE WHEN d.last_state_change IS NULL THEN 'playing' ELSE d.playback_state END AS state,
       d.is_muted, coalesce(r.volume, 100) AS volume, r.sound_id,
       r.seek_id, r.seek_entry, r.seek_seconds, r.reported, r.reported_at,
       d.current_timeline_video_id AS head, d.last_video_start_time AS began_at, p.duration_ms,
       statement_timestamp() AS now
FROM displays d
LEFT JOIN display_remotes r ON r.display_id = d.id
LEFT JOIN post_durations p ON p.post_id = d.current_video_id
WHERE d.id = :display_id
""")

# The time is that of the last change, so that a player that repeats itself writes nothing.
_REPORT: Final = text("""
INSERT INTO display_remotes AS r (display_id, reported, reported_at)
SELECT id, CAST(:reported AS jsonb), now() FROM displays WHERE id = :display_id
ON CONFLICT (display_id) DO UPDATE SET reported = excluded.reported, reported_at = now()
WHERE r.reported IS DISTINCT FROM excluded.reported
""")


def set_sound(
    connection: Connection, display_id: str, *, is_muted: bool | None, volume: int | None
) -> bool:
    """Set what is not None; False for an unknown display."""
    values = {"display_id": display_id, "is_muted": is_muted, "volume": volume}
    return connection.execute(_SOUND, values).rowcount == 1


def set_seek(connection: Connection, display_id: str, seconds: float) -> bool:
    """Ask for a place in the video on screen; False when none is."""
    values = {"display_id": display_id, "seconds": seconds}
    return connection.execute(_SEEK, values).rowcount == 1


def read_remote(connection: Connection, display_id: str) -> RowMapping | None:
    """What a display's player is told, and what it reported; None for an unknown display."""
    return connection.execute(_READ, {"display_id": display_id}).mappings().one_or_none()


def store_report(connection: Connection, display_id: str, reported: dict[str, Any]) -> bool:
    """Store what a player reports; True when it differs from the last report."""
    values = {"display_id": display_id, "reported": canonical_json(reported, str)}
    return connection.execute(_REPORT, values).rowcount == 1
