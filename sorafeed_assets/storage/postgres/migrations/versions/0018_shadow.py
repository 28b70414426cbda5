"""Results of comparing with the old system, and the digest of each part of its catalogue."""

from sorafeed_assets.storage.postgres.migrations.script import run_script

revision = "0018"
down_revision = "0016"


def upgrade() -> None:
    """Apply 0018_shadow.sql."""
    run_script("0018_shadow.sql")
