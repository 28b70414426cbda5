"""Posts that only a queue of the old system still has, as the feed gave them."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, NamedTuple

from sorafeed_assets.domain.legacy.values import clean_text, moment, whole

_UNKNOWN_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)


class StoredPost(NamedTuple):
    """A post in the columns of `sora_posts`."""

    id: str
    creator_id: str | None
    text: str | None
    posted_at: datetime
    permalink: str | None
    video_url: str | None
    video_url_md: str | None
    thumbnail_url: str | None
    gif_url: str | None
    width: int | None
    height: int | None
    generation_id: str | None
    task_id: str | None
    indexed_at: datetime


def stored_post(video_id: str, data: str, created_at: object) -> StoredPost | None:
    """The post of a `video_data`; None when that is no JSON object.

    Its time of indexing is when it was queued, as nothing else is known.
    """
    try:
        read = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(read, dict):
        return None
    post = _object(read.get("post")) or read
    profile = _object(read.get("profile")) or _object(post.get("profile"))
    attachments = post.get("attachments")
    first = _object(attachments[0]) if isinstance(attachments, list) and attachments else {}
    posted_at = moment(post.get("posted_at"))
    return StoredPost(
        clean_text(video_id),
        _text(post.get("shared_by") or post.get("creator_id") or profile.get("user_id")),
        _text(post.get("text")),
        posted_at or _UNKNOWN_TIME,
        _text(post.get("permalink")),
        _encoding(first, "source") or _text(first.get("url") or post.get("video_url")),
        _encoding(first, "md") or _text(post.get("video_url_md")),
        _encoding(first, "thumbnail") or _text(post.get("thumbnail_url")),
        _encoding(first, "gif") or _text(post.get("gif_url")),
        whole(first.get("width", post.get("width")), 0) or None,
        whole(first.get("height", post.get("height")), 0) or None,
        _text(first.get("generation_id") or post.get("generation_id")),
        _text(first.get("task_id") or post.get("task_id")),
        moment(created_at) or posted_at or _UNKNOWN_TIME,
    )


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _encoding(attachment: Mapping[str, object], name: str) -> str | None:
    found = _object(_object(attachment.get("encodings")).get(name))
    return _text(found.get("path") or found.get("url"))


def _text(value: object) -> str | None:
    return clean_text(value) if isinstance(value, str) and value else None
