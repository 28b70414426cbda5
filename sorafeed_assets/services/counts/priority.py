"""The priorities of counts."""

from enum import IntEnum


class Priority(IntEnum):
    """A term that a user looks at is counted before one that is only played."""

    PLAYED = 5
    LOOKED_AT = 10
