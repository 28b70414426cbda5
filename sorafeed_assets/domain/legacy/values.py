"""Single values of the old system's SQLite file, where any column can hold anything."""

import math
import re
from datetime import UTC, datetime
from typing import Final
from uuid import UUID, uuid5

_NAMESPACE: Final = UUID("5f0d1c9e-0f53-5c1e-9a53-6e1f0a6b7c11")
_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)
_SECONDS: Final = 4_102_444_800
_SURROGATES: Final = re.compile("[\ud800-\udfff]")
_WHOLE: Final = 2**31 - 1


def clean_text(value: object) -> str:
    """A value as text that can be stored: without NULs, broken characters as U+FFFD."""
    text = "" if value is None else str(value)
    return _SURROGATES.sub("\ufffd", text.replace("\x00", ""))


def moment(value: object) -> datetime | None:
    """A time of 1970 to 2099: ISO text, in UTC if it has no zone, or Unix seconds, or milliseconds.

    None for anything else; 0 is unknown.
    """
    if isinstance(value, str):
        number = _number(value)
        if number is None:
            return _iso(value)
    else:
        number = None if isinstance(value, bool) else _number(value)
    if number is None:
        return None
    seconds = number / 1000 if number >= _SECONDS else number
    if not math.isfinite(seconds) or not 0 < seconds < _SECONDS:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def whole(value: object, default: int) -> int:
    """A whole number of 0 or more that fits an integer column, else ``default``."""
    number = _number(value)
    if number is None or not math.isfinite(number) or not 0 <= number <= _WHOLE:
        return default
    return int(number)


def is_true(value: object) -> bool:
    """A boolean of SQLite: 1, or text that says so."""
    return clean_text(value).strip().lower() in {"1", "1.0", "true"}


def id_of(kind: str, value: object) -> UUID:
    """An id as it is; an id that is no UUID becomes one that follows from it."""
    text = clean_text(value).strip()
    try:
        return UUID(text)
    except ValueError:
        return uuid5(_NAMESPACE, f"{kind}:{text}")


def _iso(value: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(value.strip())
    except ValueError:
        return None
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
    return at.astimezone(UTC) if _EARLIEST < at < _LATEST else None


def _number(value: object) -> float | None:
    if not isinstance(value, str | int | float):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
