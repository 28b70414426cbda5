"""The creators of posts, read for the planners that need them."""

from collections.abc import Collection, Mapping

from sqlalchemy import Connection

from sorafeed_assets.storage.catalog.creators import creators_of


class Creators:
    """The creators of posts, as far as they were read; more are read when plans pick more posts."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._read: set[str] = set()
        self._known: dict[str, str] = {}

    @property
    def known(self) -> Mapping[str, str]:
        """Post → creator, as far as that was read."""
        return self._known

    def unknown(self, posts: Collection[str]) -> set[str]:
        """Those of the posts whose creators were not read yet."""
        return set(posts) - self._read

    def read(self, posts: Collection[str]) -> None:
        """Read the creators of posts, of all displays at once."""
        self._known |= creators_of(self._connection, posts)
        self._read |= set(posts)
