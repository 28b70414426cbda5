"""Plays of displays, read for the posts that their plans examine."""

from collections.abc import Collection, Mapping
from typing import Final

from sqlalchemy import Connection

from sorafeed_assets.storage.timelines.last_plays import last_plays, recent_plays

_NONE: Final[Mapping[str, int]] = {}
# A shorter history is read as a whole. Of a longer one only this much is read, because a plan
# is likely to examine the last plays.
_RECENT: Final = 500


class LastPlays:
    """When some displays last played posts; more is read when plans examine more posts.

    A display that is not named counts as having played nothing.
    """

    def __init__(self, connection: Connection, display_ids: Collection[str]) -> None:
        self._connection = connection
        recent = recent_plays(connection, display_ids, _RECENT + 1) if display_ids else {}
        self._latest = {code: plays[-1][1] for code, plays in recent.items()}
        self._plays = {code: dict(plays) for code, plays in recent.items()}
        # For displays whose history was not read as a whole: the posts that were looked up.
        self._known = {
            code: set(self._plays[code]) for code, plays in recent.items() if len(plays) > _RECENT
        }

    def latest(self, display_id: str) -> int:
        """When a display last played anything, 0 for never."""
        return self._latest.get(display_id, 0)

    def plays(self, display_id: str) -> Mapping[str, int]:
        """When a display last played each post, as far as that was read."""
        return self._plays.get(display_id, _NONE)

    def unknown(self, display_id: str, posts: Collection[str]) -> set[str]:
        """Those of the posts whose plays by the display were not read yet."""
        known = self._known.get(display_id)
        return set() if known is None else set(posts) - known

    def read(self, posts: Mapping[str, set[str]]) -> None:
        """Read when displays last played these posts, of all displays at once."""
        for display_id, played in last_plays(self._connection, posts).items():
            self._plays[display_id] |= played
        for display_id, ids in posts.items():
            self._known[display_id] |= ids
