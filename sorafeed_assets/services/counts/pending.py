"""Posts whose changes no refresh has applied yet, searched in memory."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from sqlalchemy import Connection

from sorafeed_assets.domain.catalog.search import SearchQuery
from sorafeed_assets.domain.counts.counting import TermMatcher, join_texts
from sorafeed_assets.storage.catalog.outbox import waiting_texts

# With more than these, searching the catalogue is cheaper.
_MOST: Final = 20_000


class WaitingPosts:
    """The current state of the posts that wait in the outbox at one moment."""

    def __init__(self, ids: Sequence[str], texts: Sequence[str]) -> None:
        self._ids = np.array(ids, dtype=object)
        self._texts = join_texts(texts)

    @classmethod
    def read(cls, connection: Connection) -> "WaitingPosts | None":
        """Read the waiting posts; None when there are too many."""
        rows = waiting_texts(connection, _MOST + 1)
        if len(rows) > _MOST:
            return None
        return cls([post_id for post_id, _ in rows], [text for _, text in rows])

    def matching(self, queries: Sequence[SearchQuery]) -> list[list[str]]:
        """The posts that match, for each query."""
        if not queries or not len(self._ids):
            return [[] for _ in queries]
        found, rows = TermMatcher(queries).match(*self._texts)
        return [self._ids[rows[found == number]].tolist() for number in range(len(queries))]
