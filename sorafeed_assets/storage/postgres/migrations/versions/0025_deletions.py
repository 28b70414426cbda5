"""Deleted displays and playlists, kept for 30 days."""

from sorafeed_assets.storage.postgres.migrations.script import run_script

revision = "0025"
down_revision = "0022"


def upgrade() -> None:
    """Apply 0025_deletions.sql."""
    run_script("0025_deletions.sql")
