"""Posts have times that every program can read; a year of five digits would stop counting."""

from alembic import op
from sqlalchemy import text

from sorafeed_assets.domain.errors import SetupError

revision = "0033"
down_revision = "0030"

_IS_THERE = text("SELECT FROM pg_constraint WHERE conname = 'sora_posts_times_known_check'")
_ADD = """
ALTER TABLE sora_posts ADD CONSTRAINT sora_posts_times_known_check CHECK (
    posted_at >= '0001-01-02 00:00+00' AND posted_at < '9999-12-31 00:00+00'
    AND indexed_at >= '0001-01-02 00:00+00' AND indexed_at < '9999-12-31 00:00+00') NOT VALID
"""
_WRONG = text("""
SELECT id FROM sora_posts
WHERE NOT (posted_at >= '0001-01-02 00:00+00' AND posted_at < '9999-12-31 00:00+00'
    AND indexed_at >= '0001-01-02 00:00+00' AND indexed_at < '9999-12-31 00:00+00')
LIMIT 5
""")
_VALIDATE = "ALTER TABLE sora_posts VALIDATE CONSTRAINT sora_posts_times_known_check"


def upgrade() -> None:
    """Refuse such posts from now on, then read those that are stored, without blocking writers."""
    with op.get_context().autocommit_block():
        if op.get_bind().execute(_IS_THERE).rowcount == 0:
            op.execute(_ADD)
        wrong = list(op.get_bind().scalars(_WRONG))
        if wrong:
            raise SetupError(
                f"the times of the posts {', '.join(wrong)} are before the year 1 or after 9998;"
                " correct posted_at and indexed_at, or delete them, and migrate again"
            )
        op.execute(_VALIDATE)
