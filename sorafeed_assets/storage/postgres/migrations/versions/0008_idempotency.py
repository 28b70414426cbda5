"""Answers to mutations, stored by idempotency key."""

from sorafeed_assets.storage.postgres.migrations.script import run_script

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Apply 0008_idempotency.sql."""
    run_script("0008_idempotency.sql")
