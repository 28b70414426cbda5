"""Time slots of playlists, the timetables of displays that have some, and durations of videos."""

from sorafeed_assets.storage.postgres.migrations.script import run_script

revision = "0023"
down_revision = "0020"


def upgrade() -> None:
    """Apply 0023_time_slots.sql."""
    run_script("0023_time_slots.sql")
