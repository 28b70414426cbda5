"""The texts of posts, by id."""

from collections.abc import Collection
from typing import Final

from sqlalchemy import Connection, text

_TEXTS: Final = text("SELECT id, text FROM sora_posts WHERE id = ANY(CAST(:ids AS text[]))")


def texts_of(connection: Connection, post_ids: Collection[str]) -> dict[str, str]:
    """Post → its text; a post that does not exist is missing."""
    rows = connection.execute(_TEXTS, {"ids": list(post_ids)})
    return {row.id: row.text for row in rows}
