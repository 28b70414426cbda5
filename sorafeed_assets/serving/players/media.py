"""Media addresses of posts: their own, or a generated clip for posts of the demo."""

import hashlib
import re
from typing import Final
from urllib.parse import urlsplit

from sorafeed_assets.domain.catalog.search import SizeClass, size_class

CLIPS_EACH: Final = 6
# Reserved by RFC 2606, so only posts of the demo catalogue have it.
_DEMO_HOST: Final = ".example.invalid"
# An expression, because `urlsplit` takes a tenth of the time of an answer to a player.
_HOST: Final = re.compile(r"https?://(?:[^/?#@\s]*@)?([^/?#@:\s]+)", re.ASCII | re.IGNORECASE)


def media_url(post_id: str, url: str | None, width: int | None, height: int | None) -> str | None:
    """The address to play a video from; None when it is not http(s)."""
    found = None if url is None else _HOST.match(url)
    if found is None:
        return None
    if found[1].lower().endswith(_DEMO_HOST):
        return clip_url(post_id, width, height)
    return url


def clip_url(post_id: str, width: int | None, height: int | None) -> str:
    """The generated clip of a demo post, always the same one."""
    shape = "tall" if size_class(width, height) is SizeClass.TALL else "wide"
    number = hashlib.md5(post_id.encode(), usedforsecurity=False).digest()[0] % CLIPS_EACH
    return f"/clips/{shape}-{number}.webm"


def poster_url(post_id: str, url: str | None, width: int | None, height: int | None) -> str | None:
    """The address of a post's still picture; None when it is not http(s)."""
    found = None if url is None else _HOST.match(url)
    if found is None:
        return None
    if found[1].lower().endswith(_DEMO_HOST):
        return clip_url(post_id, width, height).removesuffix("webm") + "webp"
    return url


def page_url(url: str | None) -> str | None:
    """A link, if it is http(s)."""
    if url is None or urlsplit(url).scheme not in {"http", "https"}:
        return None
    return url
