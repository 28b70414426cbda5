"""What displays have played, read for the posts that their plans look at."""

from collections.abc import Collection, Mapping
from typing import Final

from sqlalchemy import Connection

from sorafeed_assets.storage.timelines.plays import last_plays, latest_plays

_NONE: Final[Mapping[str, int]] = {}


class PlayHistory:
    """When some displays last played posts; it grows as plans look at more of them.

    Of a display that is not named, or has played nothing since dedup_since, all is known.
    """

    def __init__(self, connection: Connection, display_ids: Collection[str]) -> None:
        self._connection = connection
        self._latest = latest_plays(connection, display_ids) if display_ids else {}
        self._plays: dict[str, dict[str, int]] = {code: {} for code in self._latest}
        self._known: dict[str, set[str]] = {code: set() for code in self._latest}

    def latest(self, display_id: str) -> int:
        """When a display last played anything, 0 for never."""
        return self._latest.get(display_id, 0)

    def plays(self, display_id: str) -> Mapping[str, int]:
        """When a display last played each post, as far as that was read."""
        return self._plays.get(display_id, _NONE)

    def unknown(self, display_id: str, posts: Collection[str]) -> set[str]:
        """Those of the posts of which it was not read whether the display played them."""
        known = self._known.get(display_id)
        return set() if known is None else set(posts) - known

    def read(self, posts: Mapping[str, set[str]]) -> None:
        """Read when displays last played these posts, of all displays at once."""
        for display_id, played in last_plays(self._connection, posts).items():
            self._plays[display_id] |= played
        for display_id, ids in posts.items():
            self._known[display_id] |= ids
