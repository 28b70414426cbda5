"""Plays update rows in place: room in their pages, and no index of a column that they change."""

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Drop the index of a queue row's status, and leave room for new versions of rows."""
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS timeline_videos_display_id_status_idx")
    for table in ("timeline_videos", "displays", "playlist_blocks"):
        op.execute(f"ALTER TABLE {table} SET (fillfactor = 70)")
