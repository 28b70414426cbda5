"""How urgent a count is."""

from enum import IntEnum


class Priority(IntEnum):
    """A term that is looked at is counted before one that is only played."""

    PLAYED = 5
    LOOKED_AT = 10
