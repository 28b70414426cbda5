"""Ids in requests."""

from uuid import UUID

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.text import shown


def parse_id(value: str, field: str) -> UUID:
    """Parse the id of a playlist, a block or a queue entry.

    Raises:
        InvalidInputError: naming ``field``, when it is not an id.
    """
    try:
        return UUID(value)
    except ValueError:
        raise InvalidInputError(field, f"is {shown(value)}; it must be an id") from None
