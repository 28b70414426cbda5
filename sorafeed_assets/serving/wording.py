"""What is shown to people in the same words on every page and in the API."""

from collections.abc import Mapping
from typing import Final

from sorafeed_assets.domain.errors import InvalidInputError, SorafeedError
from sorafeed_assets.domain.text import sentence
from sorafeed_assets.domain.timelines.plan import Tier
from sorafeed_assets.domain.wording import in_words

_REASONS: Final[Mapping[str, str]] = {
    Tier.NEW: "it was not shown here before",
    Tier.REPLAY: "all matches were shown; this one was shown longest ago",
    Tier.REPEAT: "the block asks for more videos than match",
    Tier.KEPT: "it was chosen by hand, or was playing when the playlist changed",
}


def reason_of(tier: str) -> str:
    """Why a video was picked."""
    return _REASONS.get(tier, tier)


def refusal(error: SorafeedError) -> str:
    """An error as sentences, one a line: every refused value, or the error itself."""
    if isinstance(error, InvalidInputError):
        return "\n".join(in_words(each) for each in error.errors)
    return sentence(str(error))
