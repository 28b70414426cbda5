"""Tags of displays, and templates that playlists follow."""

from sorafeed_assets.storage.postgres.migrations.script import run_script

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    """Apply 0028_many.sql."""
    run_script("0028_many.sql")
