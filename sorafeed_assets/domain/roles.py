"""The roles of tokens."""

from enum import StrEnum


class Role(StrEnum):
    """What a token permits."""

    ADMIN = "admin"
    READER = "reader"
    DISPLAY = "display"
