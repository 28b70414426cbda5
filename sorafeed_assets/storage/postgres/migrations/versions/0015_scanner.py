"""The schema that the old system's scanner writes into, unchanged."""

from sorafeed_assets.storage.postgres.migrations.script import run_script

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Apply 0015_scanner.sql."""
    run_script("0015_scanner.sql")
