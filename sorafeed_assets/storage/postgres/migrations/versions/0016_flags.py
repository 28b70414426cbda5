"""Flags with their history, and the planner of each build."""

from sorafeed_assets.storage.postgres.migrations.script import run_script

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Apply 0016_flags.sql."""
    run_script("0016_flags.sql")
