"""Canonical JSON and its digest: equal values give equal text, hence equal data versions.

Stored versions and hashes were made by these functions: their output never changes.
"""

import hashlib
import json
import re
from collections.abc import Callable, Collection
from typing import Final, NamedTuple

_Encode = Callable[[object], str]
_SUMS: Final = 2**128


def canonical_json(value: object, other: _Encode | None = None) -> str:
    """Encode a value as canonical JSON: keys sorted, no blanks, no escaped letters.

    Args:
        value: the value to encode.
        other: encodes types that JSON lacks; without it these raise TypeError.
    """
    return json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=other
    )


def text_digest(text: str) -> str:
    """32 hex digits of the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def content_digest(value: object) -> str:
    """The digest of a value as canonical JSON; types that JSON lacks are encoded by str."""
    return text_digest(canonical_json(value, str))


class SetDigest(NamedTuple):
    """A digest of a set of texts that is updated by a change without reading the whole set.

    ``size`` is how many texts there are, ``total`` the sum of the digest of each.
    """

    size: int = 0
    total: int = 0

    def changed(self, added: Collection[str], removed: Collection[str]) -> "SetDigest":
        """The digest with ``added``, which were not in the set, and without ``removed``."""
        change = sum(map(_number, added)) - sum(map(_number, removed))
        return SetDigest(self.size + len(added) - len(removed), (self.total + change) % _SUMS)

    def __str__(self) -> str:
        return f"{self.size}-{self.total:032x}"

    @classmethod
    def parse(cls, written: str) -> "SetDigest | None":
        """Parse a digest written by ``str``; None when the text is not one."""
        found = re.fullmatch(r"([0-9]+)-([0-9a-f]{32})", written)
        return None if found is None else cls(int(found[1]), int(found[2], 16))


def _number(text: str) -> int:
    return int(text_digest(text), 16)
