"""What is shown to people in the same words on every page and in the API."""

import re
from collections.abc import Mapping
from typing import Final

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.timelines.plan import Tier

_REASONS: Final[Mapping[str, str]] = {
    Tier.NEW: "it was not shown here before",
    Tier.REPLAY: "all matches were shown; this one was shown longest ago",
    Tier.REPEAT: "the block asks for more videos than match",
    Tier.KEPT: "it was playing when the playlist changed",
}

_BLOCK: Final = re.compile(r"blocks\[(\d+)\]\.(\w+)", re.ASCII)
_FIELDS: Final[Mapping[str, str]] = {
    "search_term": "the search",
    "search": "the search",
    "video_count": "the number of videos",
    "fetch_mode": "which videos",
    "format": "the format",
    "name": "the name",
    "display_id": "the code",
    "displayId": "the code",
    "blocks": "the list of blocks",
    "csv": "the file",
    "id": "it",
}


def reason_of(tier: str) -> str:
    """Why a video was picked."""
    return _REASONS.get(tier, tier)


def in_words(error: InvalidInputError) -> str:
    """What is refused and why: "Line 4: the search is empty; write the words to search for."."""
    where, _, name = error.field.partition(", ")
    if block := _BLOCK.fullmatch(error.field):
        where, name = f"block {int(block[1]) + 1}", block[2]
    elif not name and not where.startswith("line "):
        where, name = "", where
    subject = _FIELDS.get(name, name.replace("_", " "))
    words = f"{where}: {subject}" if where and subject else where or subject
    words = f"{words} {error.problem}".strip()
    return f"{words[:1].upper()}{words[1:]}{'' if words.endswith(('.', '!', '?')) else '.'}"


def place_of(position: int, loop: int) -> str:
    """The place of a video in its loop; people count from 1."""
    return f"video {position + 1} of loop {loop + 1}"
