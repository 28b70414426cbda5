"""Lineage records, changes of displays, and which displays use which terms."""

from sorafeed_assets.storage.postgres.migrations.script import run_script

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Apply 0009_lineage.sql."""
    run_script("0009_lineage.sql")
