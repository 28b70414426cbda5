"""SQL of finding posts by words, for people: by the full-text index, the newest first.

Not here: the match rule of playlists (`match_rule`), which finds parts of words too.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from sorafeed_assets.storage.postgres.engine import BY_VALUE

# `websearch_to_tsquery` takes what people type: "a phrase", or, -without; it never fails.
_FOUND: Final = text(f"""{BY_VALUE}
SELECT id, creator_id, text, posted_at, size_class, permalink
FROM sora_posts
WHERE to_tsvector('simple'::regconfig, text) @@ websearch_to_tsquery('simple'::regconfig, :words)
ORDER BY posted_at DESC, id DESC
LIMIT :most
""")
_MEANS_NOTHING: Final = text(
    "SELECT numnode(websearch_to_tsquery('simple'::regconfig, :words)) = 0"
)


class Post(NamedTuple):
    """A post that was found; ``size_class`` is its shape: wide, tall or other."""

    id: str
    creator_id: str | None
    text: str
    posted_at: datetime
    size_class: str
    permalink: str | None


def has_words(connection: Connection, words: str) -> bool:
    """Whether there is a word to search for."""
    return not connection.scalar(_MEANS_NOTHING, {"words": words})


def find_by_words(connection: Connection, words: str, most: int) -> Sequence[Post]:
    """The newest posts that have the words."""
    rows = connection.execute(_FOUND, {"words": words, "most": most})
    return [Post(*row) for row in rows]
