"""Edits are settled before what only new posts changed."""

from sorafeed_assets.storage.postgres.migrations.script import run_script

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Apply 0011_urgent_changes.sql."""
    run_script("0011_urgent_changes.sql")
