"""Canonical JSON and its digest: equal values give equal text, and so equal data versions.

Stored versions and hashes were made by these functions: their output never changes.
"""

import hashlib
import json
from collections.abc import Callable

_Encode = Callable[[object], str]


def canonical_json(value: object, other: _Encode | None = None) -> str:
    """Equal values as equal text: keys sorted, no blanks, letters as they are.

    Args:
        value: what is encoded.
        other: encodes the types that JSON has not; without it these raise TypeError.
    """
    return json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=other
    )


def text_digest(text: str) -> str:
    """32 hex digits of the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def content_digest(value: object) -> str:
    """The digest of a value as canonical JSON; types that JSON has not count by their str."""
    return text_digest(canonical_json(value, str))
