"""A refused value in words, as every page, the API and every command say it."""

import re
from collections.abc import Mapping
from typing import Final

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.text import sentence

_PART: Final = re.compile(r"(blocks|slots)\[(\d+)\](?:\.(\w+))?", re.ASCII)
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


def no_post_matches(search: str) -> str:
    """That a block is dry."""
    return f"No post matches “{search}”: its block is left out."


def too_few_posts_match(search: str) -> str:
    """That a block plays a video more than once in a loop."""
    return f"Too few posts match “{search}”: its block repeats videos."
