"""Tables and their constraints."""

from sorafeed_assets.storage.postgres.migrations.script import run_script

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Apply 0001_tables.sql."""
    run_script("0001_tables.sql")
