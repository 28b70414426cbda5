"""Rollouts with their changes, plays that failed, and the requests of players."""

from sorafeed_assets.storage.postgres.migrations.script import run_script

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Apply 0019_rollouts.sql."""
    run_script("0019_rollouts.sql")
