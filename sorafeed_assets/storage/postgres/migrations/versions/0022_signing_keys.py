"""The keys that sign the plans of players."""

from sorafeed_assets.storage.postgres.migrations.script import run_script

revision = "0022"
down_revision = "0023"


def upgrade() -> None:
    """Apply 0022_signing_keys.sql."""
    run_script("0022_signing_keys.sql")
