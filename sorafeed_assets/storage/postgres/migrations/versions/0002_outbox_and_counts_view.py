"""The outbox triggers of the catalogue and the view of totals."""

from sorafeed_assets.storage.postgres.migrations.script import run_script

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply 0002_outbox_and_counts_view.sql."""
    run_script("0002_outbox_and_counts_view.sql")
