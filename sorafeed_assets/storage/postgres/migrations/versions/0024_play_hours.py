"""Plays by hour."""

from sorafeed_assets.storage.postgres.migrations.script import run_script

revision = "0024"
down_revision = "0028"


def upgrade() -> None:
    """Apply 0024_play_hours.sql."""
    run_script("0024_play_hours.sql")
