"""Tags of displays: words by which people choose many displays at once."""

import re
from collections.abc import Collection
from typing import Final

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.text import check_storable, shown

MOST: Final = 20
"""How many tags a display may have."""
_TAG: Final = re.compile(r"[^\s,]{1,40}")


def check_tags(tags: Collection[str], field: str) -> list[str]:
    """Check tags; returns them in lower case, sorted, each once.

    Raises:
        InvalidInputError: naming ``field``, when one is no word of up to 40 characters.
    """
    checked = {check_tag(tag, field) for tag in tags}
    if len(checked) > MOST:
        raise InvalidInputError(field, f"has {len(checked)} tags; at most {MOST} are allowed")
    return sorted(checked)


def check_tag(tag: str, field: str) -> str:
    """Check a tag; returns it in lower case.

    Raises:
        InvalidInputError: naming ``field``, when it is no word of up to 40 characters.
    """
    check_storable(tag, field)
    word = tag.strip().lower()
    if not _TAG.fullmatch(word):
        raise InvalidInputError(
            field, f"has {shown(tag)}; a tag is a word of up to 40 characters without commas"
        )
    return word
