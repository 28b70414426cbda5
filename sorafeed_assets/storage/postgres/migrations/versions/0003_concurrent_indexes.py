"""The indexes of the big and busy tables, each built without blocking writers."""

from sorafeed_assets.storage.postgres.migrations.concurrent import create_index_concurrently

revision = "0003"
down_revision = "0002"

INDEXES = (
    ("sora_posts_indexed_at_idx", "sora_posts", "btree", "indexed_at"),
    ("sora_posts_posted_at_idx", "sora_posts", "btree", "posted_at, id"),
    ("sora_posts_format_idx", "sora_posts", "btree", "size_class, posted_at, id"),
    ("sora_posts_id_hash_idx", "sora_posts", "btree", "id_hash, id"),
    ("sora_posts_text_trigram_idx", "sora_posts", "gin", "text gin_trgm_ops"),
    (
        "sora_posts_text_search_idx",
        "sora_posts",
        "gin",
        "to_tsvector('simple'::regconfig, text)",
    ),
    ("timeline_videos_display_id_status_idx", "timeline_videos", "btree", "display_id, status"),
    ("video_history_block_id_display_id_idx", "video_history", "btree", "block_id, display_id"),
    (
        "video_history_display_id_played_at_idx",
        "video_history",
        "btree",
        "display_id, played_at, video_id",
    ),
)


def upgrade() -> None:
    """Build each index that is missing or was interrupted."""
    for name, table, using, definition in INDEXES:
        create_index_concurrently(name, table, definition, using=using)
