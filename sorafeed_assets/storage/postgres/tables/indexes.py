"""Large indexes, which the migrations build CONCURRENTLY: no scanner and no player waits."""

from typing import Final

from sqlalchemy import Index, text

from sorafeed_assets.storage.postgres.tables.catalog import sora_posts
from sorafeed_assets.storage.postgres.tables.timelines import video_history

_posts = sora_posts.c
concurrent_indexes: Final = (
    Index(
        "sora_posts_text_search_idx",
        text("to_tsvector('simple'::regconfig, text)"),
        postgresql_using="gin",
        _table=sora_posts,
    ),
    # Posts by trigrams: in the whole catalogue, or in a slice of the random or the newest order.
    Index(
        "sora_posts_search_idx",
        _posts.text,
        text("search_slices(id_hash, posted_at)"),
        postgresql_using="gin",
        postgresql_ops={"text": "gin_trgm_ops"},
    ),
    Index("sora_posts_format_idx", _posts.size_class, _posts.posted_at, _posts.id),
    Index("sora_posts_posted_at_idx", _posts.posted_at, _posts.id),
    Index("sora_posts_indexed_at_idx", _posts.indexed_at),
    Index("sora_posts_id_hash_idx", _posts.id_hash, _posts.id),
    Index(
        "video_history_block_id_display_id_idx",
        video_history.c.block_id,
        video_history.c.display_id,
    ),
    Index(
        "video_history_display_id_played_at_idx",
        video_history.c.display_id,
        video_history.c.played_at,
        video_history.c.video_id,
    ),
    Index(
        "video_history_display_id_video_id_idx",
        video_history.c.display_id,
        video_history.c.video_id,
        video_history.c.played_at,
    ),
)
