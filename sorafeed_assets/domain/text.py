"""Text of people: what can be stored (any Unicode that UTF-8 databases accept), and quoting it."""

from collections.abc import Collection
from itertools import islice
from typing import Final

from sorafeed_assets.domain.errors import InvalidInputError

_MOST_SHOWN: Final = 60


def shown(value: object) -> str:
    """A value as an error quotes it, shortened if it is long."""
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def counted(number: int, noun: str) -> str:
    """A number with its noun, such as ``1 display`` and ``2,000 displays``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def few(names: Collection[str], most: int = 10) -> str:
    """The first ``most`` names in their order, and how many more there are."""
    more = len(names) - most
    named = ", ".join(islice(names, most))
    return f"{named} and {more:,} more" if more > 0 else named


def sentence(text: str) -> str:
    """A text with a capital at its start and a full stop at its end."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}"


def check_storable(value: str, field: str) -> None:
    """Refuse text that no UTF-8 database can store.

    Raises:
        InvalidInputError: naming ``field``, when it contains a NUL or a lone surrogate.
    """
    if "\x00" in value:
        raise InvalidInputError(field, "has a NUL character; remove it")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidInputError(
            field, "is not valid Unicode text; remove the broken character"
        ) from None
