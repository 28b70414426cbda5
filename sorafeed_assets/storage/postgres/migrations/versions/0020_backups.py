"""The backups that were made."""

from sorafeed_assets.storage.postgres.migrations.script import run_script

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Apply 0020_backups.sql."""
    run_script("0020_backups.sql")
