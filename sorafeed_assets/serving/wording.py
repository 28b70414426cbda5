"""What is shown to people in the same words on every page and in the API."""

from collections.abc import Mapping
from typing import Final

from sorafeed_assets.domain.timelines.plan import Tier

_REASONS: Final[Mapping[str, str]] = {
    Tier.NEW: "it was not shown here before",
    Tier.REPLAY: "all matches were shown; this one was shown longest ago",
    Tier.REPEAT: "the block asks for more videos than match",
    Tier.KEPT: "it was playing when the playlist changed",
}


def reason_of(tier: str) -> str:
    """Why a video was picked."""
    return _REASONS.get(tier, tier)


def place_of(position: int, loop: int) -> str:
    """The place of a video in its loop; people count from 1."""
    return f"video {position + 1} of loop {loop + 1}"
