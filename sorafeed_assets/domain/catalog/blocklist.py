"""What can be on the blocklist: a post, or a creator with all posts."""

from enum import StrEnum
from typing import Final, NamedTuple

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.text import check_storable

MAX_NOTE: Final = 500
_MAX_ID: Final = 200


class Kind(StrEnum):
    """Whether one post is meant, or all posts of a creator."""

    POST = "post"
    CREATOR = "creator"


class Target(NamedTuple):
    """A post or creator, by its id."""

    kind: Kind
    id: str

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


def check_target(kind: str, target_id: str) -> Target:
    """The post or creator that is meant.

    Raises:
        InvalidInputError: the kind is unknown, or the id cannot be one.
    """
    try:
        known = Kind(kind)
    except ValueError:
        raise InvalidInputError("kind", "must be post or creator") from None
    found = target_id.strip()
    if not found or len(found) > _MAX_ID:
        raise InvalidInputError("id", f"must have 1 to {_MAX_ID} characters")
    check_storable(found, "id")
    return Target(known, found)


def check_note(note: str) -> str:
    """The reason, without white space around it.

    Raises:
        InvalidInputError: it is too long, or cannot be stored.
    """
    found = note.strip()
    if len(found) > MAX_NOTE:
        raise InvalidInputError("note", f"has over {MAX_NOTE} characters")
    check_storable(found, "note")
    return found
