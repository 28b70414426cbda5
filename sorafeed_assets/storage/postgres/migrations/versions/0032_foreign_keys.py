"""An index for each foreign key: deleting a display or a playlist reads no other one's rows."""

from sorafeed_assets.storage.postgres.migrations.concurrent import create_index_concurrently

revision = "0032"
down_revision = "0029"

_COLUMNS = (
    ("timeline_videos", "playlist_id"),
    ("displays", "active_build_id"),
    ("api_tokens", "display_id"),
)


def upgrade() -> None:
    """Build the indexes without blocking writers."""
    for table, column in _COLUMNS:
        create_index_concurrently(f"{table}_{column}_idx", table, column, using="btree")
