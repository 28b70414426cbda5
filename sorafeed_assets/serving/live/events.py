"""The server-sent events of `/api/events`: their names and the tags they carry."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from sorafeed_assets.storage.cache.redis import (
    ALERTS_TAG,
    BLOCKLIST_TAG,
    COUNTS_TAG,
    DISPLAYS_TAG,
    TERMS_TAG,
    TOKENS_TAG,
    display_tag,
    length_tag,
    remote_tag,
)


class StreamEvent(StrEnum):
    """The name of an event; its data is a JSON list of tags."""

    OPEN = "open"
    CHANGE = "change"
    REPLACED = "replaced"
    CLOSING = "closing"


EVENTS: Final[Mapping[StreamEvent, str]] = {
    StreamEvent.OPEN: "The stream has begun; what changed before has to be read.",
    StreamEvent.CHANGE: "Something changed; the tags say what.",
    StreamEvent.REPLACED: "The token has opened too many streams, and this one ends.",
    StreamEvent.CLOSING: "The process stops, and the stream ends; open another one.",
}
"""What each event says."""

TAGS: Final[Mapping[str, str]] = {
    display_tag("CODE"): "What this display plays, or its state.",
    remote_tag("CODE"): "The sound settings of this display's player changed, or it has to seek.",
    length_tag("CODE"): "How long this display's video is became known; players do not get it.",
    DISPLAYS_TAG: "Displays were added, deleted or renamed.",
    COUNTS_TAG: "A total changed.",
    BLOCKLIST_TAG: "A post or creator was excluded, or allowed again.",
    TERMS_TAG: "The tracked terms changed.",
    TOKENS_TAG: "A token was created or revoked.",
    ALERTS_TAG: "An alert of Prometheus began or ended.",
    "all": "Changes may have been missed: read everything again.",
}
"""What each tag says."""
