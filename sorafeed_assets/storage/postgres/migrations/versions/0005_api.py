"""Tokens of the API, and count jobs."""

from sorafeed_assets.storage.postgres.migrations.script import run_script

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Apply 0005_api.sql."""
    run_script("0005_api.sql")
