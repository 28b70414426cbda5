"""Searches within slices of an order, and long texts stored inline in their rows."""

from alembic import op

from sorafeed_assets.storage.postgres.migrations.concurrent import create_index_concurrently
from sorafeed_assets.storage.postgres.migrations.script import run_script

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Replace the trigram index; rows written from now on store their texts inline."""
    run_script("0007_search_index.sql")
    create_index_concurrently(
        "sora_posts_search_idx",
        "sora_posts",
        "text gin_trgm_ops, search_slices(id_hash, posted_at)",
        using="gin",
    )
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS sora_posts_text_trigram_idx")
