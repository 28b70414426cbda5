"""How far the old system is copied, and what differs from it."""

from sorafeed_assets.storage.postgres.migrations.script import run_script

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Apply 0014_legacy.sql."""
    run_script("0014_legacy.sql")
