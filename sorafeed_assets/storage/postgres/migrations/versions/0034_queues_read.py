"""When each file of the old system's queues was last found to be imported."""

from sorafeed_assets.storage.postgres.migrations.script import run_script

revision = "0034"
down_revision = "0033"


def upgrade() -> None:
    """Apply 0034_queues_read.sql."""
    run_script("0034_queues_read.sql")
