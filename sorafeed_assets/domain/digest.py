"""One way to fingerprint content: the same values give the same short text, on any machine."""

import hashlib
import json


def content_digest(value: object) -> str:
    """32 hex digits of the SHA-256 of ``value`` as canonical JSON; other types by their str."""
    canonical = json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str
    )
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]
