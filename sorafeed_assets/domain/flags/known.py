"""The flags that the code asks for: their values, and the value without a definition."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sorafeed_assets.domain.errors import NotFoundError


class UnknownFlagError(NotFoundError):
    """No flag has this key; a flag that does not exist has no value."""

    def __init__(self, key: str, known: "KnownFlags") -> None:
        super().__init__(f"flag {key!r} does not exist; the flags are {', '.join(sorted(known))}")


@dataclass(frozen=True, slots=True)
class KnownFlag:
    """A flag that the code asks for; its values are texts, one of a few.

    Attributes:
        key: its name.
        values: what it can be.
        default: its value while no definition is stored.
        description: what it decides.
        is_published: whether displays are settled again when their value changes.
    """

    key: str
    values: tuple[str, ...]
    default: str
    description: str
    is_published: bool = True


KnownFlags = Mapping[str, KnownFlag]
"""Flags by key."""

PLANNER: Final = "planner"
DRIVER: Final = "driver"

KNOWN: Final[KnownFlags] = {
    flag.key: flag
    for flag in (
        KnownFlag(
            PLANNER,
            ("in_order", "creator_gap"),
            "in_order",
            "which planner plans a display's loops",
        ),
        KnownFlag(
            DRIVER,
            ("old", "shadow", "new"),
            "new",
            "which system drives a display: the old one; the old one, while this one plans too;"
            " or this one",
        ),
    )
}
"""Every flag of this version."""


def known_flag(key: str, known: KnownFlags = KNOWN) -> KnownFlag:
    """The flag with this key.

    Raises:
        UnknownFlagError: there is none.
    """
    flag = known.get(key)
    if flag is None:
        raise UnknownFlagError(key, known)
    return flag
