"""SQL of the creators of posts."""

from collections.abc import Collection
from typing import Final

from sqlalchemy import Connection, text

_CREATORS: Final = text("""
SELECT id, creator_id FROM sora_posts
WHERE id = ANY(CAST(:ids AS text[])) AND creator_id IS NOT NULL
""")


def creators_of(connection: Connection, post_ids: Collection[str]) -> dict[str, str]:
    """Post → the id of its creator; posts without one are missing."""
    rows = connection.execute(_CREATORS, {"ids": list(post_ids)})
    return {row.id: row.creator_id for row in rows}
