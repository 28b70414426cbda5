"""When a display last played a post, by index."""

from sorafeed_assets.storage.postgres.migrations.concurrent import create_index_concurrently

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Build the index that planning looks plays up in."""
    create_index_concurrently(
        "video_history_display_id_video_id_idx",
        "video_history",
        "display_id, video_id, played_at",
        using="btree",
    )
