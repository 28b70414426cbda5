"""Displays of a benchmark: cleared, played, and looked at."""

from typing import Final

from sqlalchemy import Connection, text

# What a benchmark left behind, so that each round starts alike.
_CLEAR: Final = (
    text("UPDATE displays SET active_build_id = NULL, current_playlist_id = NULL"),
    text("DELETE FROM timeline_videos"),
    text("DELETE FROM displays"),
    text("DELETE FROM video_history"),
)


def clear_displays(connection: Connection) -> None:
    """Take away every display, with what it played."""
    for statement in _CLEAR:
        connection.execute(statement)
