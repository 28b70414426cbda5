"""Screens that wait to be connected with a display."""

from sorafeed_assets.storage.postgres.migrations.script import run_script

revision = "0027"
down_revision = "0025"


def upgrade() -> None:
    """Apply 0027_screens.sql."""
    run_script("0027_screens.sql")
