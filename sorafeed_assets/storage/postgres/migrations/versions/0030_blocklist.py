"""The blocklist: posts and creators that no display plays."""

from sorafeed_assets.storage.postgres.migrations.script import run_script

revision = "0030"
down_revision = "0032"


def upgrade() -> None:
    """Apply 0030_blocklist.sql."""
    run_script("0030_blocklist.sql")
