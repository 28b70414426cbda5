"""The schema that the old system's scanner writes into, unchanged."""

from sorafeed_assets.storage.postgres.migrations.script import run_script

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Apply 0014_scanner.sql."""
    run_script("0014_scanner.sql")
