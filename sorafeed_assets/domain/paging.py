"""Cursors of lists: opaque, stable under inserts, and valid only for the list they came from."""

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Final

import orjson

from sorafeed_assets.domain.digest import content_digest
from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.text import check_storable

MAX_PAGE: Final = 100
_MARK: Final = 12


class PageList:
    """A list that is read page by page, identified by its name and its arguments."""

    def __init__(self, name: str, *asked: object) -> None:
        self._mark = content_digest([name, *asked])[:_MARK]

    def cursor(self, key: Sequence[str | int]) -> str:
        """The cursor of the row with this sort key."""
        packed = orjson.dumps([self._mark, *key])
        return base64.urlsafe_b64encode(packed).decode().rstrip("=")

    def key(self, cursor: str, *kinds: type[str] | type[int]) -> tuple[str | int, ...]:
        """Decode the sort key of a cursor, whose parts have these types.

        Raises:
            InvalidInputError: it is not a cursor, or belongs to another list.
        """
        try:
            padded = cursor + "=" * (-len(cursor) % 4)
            mark, *key = json.loads(base64.b64decode(padded, b"-_", validate=True))
        except (binascii.Error, ValueError, TypeError, RecursionError):
            raise _bad("is not a cursor") from None
        if mark != self._mark:
            raise _bad("belongs to another list, or to other arguments")
        if len(key) != len(kinds) or any(
            type(part) is not kind for part, kind in zip(key, kinds, strict=True)
        ):
            raise _bad("is not a cursor")
        for part in key:
            if isinstance(part, str):
                check_storable(part, "after")
        return tuple(key)


def check_first(first: int) -> int:
    """How many rows a page has.

    Raises:
        InvalidInputError: unless it is 1 to 100.
    """
    if not 1 <= first <= MAX_PAGE:
        raise InvalidInputError("first", f"is {first}; it must be 1 to {MAX_PAGE}")
    return first


def _bad(problem: str) -> InvalidInputError:
    return InvalidInputError("after", f"{problem}; use an endCursor of this list")
