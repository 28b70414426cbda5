"""How soon changes of displays are queued, sent to players and started."""

from sorafeed_assets.storage.postgres.migrations.script import run_script

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Apply 0012_reactions.sql."""
    run_script("0012_reactions.sql")
