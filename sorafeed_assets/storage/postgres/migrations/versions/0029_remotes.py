"""What players are told by remote control, and what they report."""

from sorafeed_assets.storage.postgres.migrations.script import run_script

revision = "0029"
down_revision = "0024"


def upgrade() -> None:
    """Apply 0029_remotes.sql."""
    run_script("0029_remotes.sql")
