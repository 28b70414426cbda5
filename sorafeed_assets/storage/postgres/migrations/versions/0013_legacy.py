"""How far the old system is copied, and what differs from it."""

from sorafeed_assets.storage.postgres.migrations.script import run_script

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Apply 0013_legacy.sql."""
    run_script("0013_legacy.sql")
