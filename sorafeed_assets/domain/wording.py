"""A refused value in words, as every page, the API and every command say it."""

import re
from collections.abc import Mapping
from typing import Final

from sorafeed_assets.domain.errors import InvalidInputError, SorafeedError
from sorafeed_assets.domain.text import sentence

_PART: Final = re.compile(r"(blocks|slots)\[(\d+)\](?:\.(\w+))?", re.ASCII)
_LINE: Final = re.compile(r"line \d+", re.ASCII)
_PARTS: Final[Mapping[str, str]] = {"blocks": "block", "slots": "time slot"}
_FIELDS: Final[Mapping[str, str]] = {
    "search_term": "the search",
    "search": "the search",
    "video_count": "the number of videos",
    "fetch_mode": "which videos",
    "format": "the format",
    "name": "the name",
    "code": "the code",
    "display": "the display",
    "display_id": "the code",
    "displayId": "the code",
    "starts": "the start",
    "ends": "the end",
    "time_zone": "the time zone",
    "first_day": "the first day",
    "last_day": "the last day",
    "blocks": "the list of blocks",
    "csv": "the file",
    "id": "it",
}


def in_words(error: InvalidInputError) -> str:
    """What is refused and why: "Line 4: the search is empty; write the words to search for."."""
    where, _, name = error.field.partition(", ")
    if part := _PART.fullmatch(error.field):
        where, name = f"{_PARTS[part[1]]} {int(part[2]) + 1}", part[3] or ""
    elif not name and not where.startswith("line "):
        where, name = "", where
    subject = _FIELDS.get(name, name.replace("_", " "))
    words = f"{where}: {subject}" if where and subject else where or subject
    return sentence(f"{words} {error.problem}".strip())


def error_text(error: SorafeedError) -> str:
    """An error where no form has the fields: every refused value on a line, in the same words."""
    if not isinstance(error, InvalidInputError):
        return str(error)
    return "\n".join(map(_value_text, error.errors))


def _value_text(error: InvalidInputError) -> str:
    where, _, _ = error.field.partition(", ")
    if where in _FIELDS or _LINE.fullmatch(where) or _PART.fullmatch(error.field):
        return in_words(error)
    # An option, an argument or a file keeps its name as it was written.
    return f"{error.field} {error.problem}"


def no_post_matches(search: str) -> str:
    """That a block is dry."""
    return f"No post matches “{search}”: its block is left out."


def too_few_posts_match(search: str) -> str:
    """That a block plays a video more than once in a loop."""
    return f"Too few posts match “{search}”: its block repeats videos."
