"""Sizes and digests of candidate pools, and indexes in the order of each pool."""

from sorafeed_assets.storage.postgres.migrations.script import run_script

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply 0004_pool_sizes.sql."""
    run_script("0004_pool_sizes.sql")
