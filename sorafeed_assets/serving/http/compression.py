"""Compression of responses by zstd, brotli or gzip, based on `starlette-compress`.

Added here: a large body that is sent repeatedly is compressed once, files below `/static/` are
compressed too, and an ETag names the coding, because strong ETags must differ between codings.
"""

import contextlib
import re
from collections.abc import Callable
from typing import Final

from cachetools import LRUCache
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette_compress import CompressMiddleware, add_compress_type, remove_compress_type

_LEAST: Final = 600
_LARGE: Final = 50_000
# A page of a thousand displays is some 1.3 MB with its compressed form, and kept for seconds.
_KEPT_BYTES: Final = 8_000_000
_STATIC: Final = "/static/"
_NOT_MODIFIED: Final = 304
_CODED: Final = re.compile(r'("[^"]*)-(zstd|br|gzip)"')

add_compress_type("application/graphql-response+json")
# Each part of an export is sent as soon as it is read.
add_compress_type("application/x-ndjson", streaming=True)
# Events are small and rare, and a proxy may buffer a compressed stream.
remove_compress_type("text/event-stream")


class CompressionMiddleware(CompressMiddleware):
    """Compress text, whole or streamed."""

    __slots__ = ()

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app, minimum_size=_LEAST, zstd_level=3, brotli_quality=4, gzip_level=5)
        for responder in (self._zstd, self._brotli, self._gzip):
            if responder is not None:
                responder.oneshot = _once_each(responder.oneshot)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["path"].startswith(_STATIC):
            # Otherwise Granian would send the file itself, uncompressed.
            extensions = dict(scope.get("extensions", {}))
            extensions.pop("http.response.pathsend", None)
            scope = {**scope, "extensions": extensions}
        known = Headers(scope=scope).get("if-none-match")
        if known is not None:
            # The application compares its own ETags, which name no coding.
            headers = MutableHeaders(scope=scope)
            headers["if-none-match"] = _CODED.sub(r'\1"', known)

        async def send_coded(message: Message) -> None:
            if message["type"] == "http.response.start":
                _name_coding(message, known or "")
            await send(message)

        await super().__call__(scope, receive, send_coded)


def _name_coding(start: Message, known: str) -> None:
    """Add the coding to the ETag of a compressed response, or of a 304 to a client that has one."""
    headers = MutableHeaders(scope=start)
    etag = headers.get("etag", "")
    coding = headers.get("content-encoding")
    if start["status"] == _NOT_MODIFIED:
        coding = next((c for tag, c in _CODED.findall(known) if f'{tag}"' == etag), None)
    if coding is not None and etag.endswith('"'):
        headers["etag"] = f'{etag[:-1]}-{coding}"'


def _once_each(compress: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Cache the compressed form of large bodies, because a cached answer is sent repeatedly."""
    kept: LRUCache[bytes, tuple[bytes, int]] = LRUCache(
        _KEPT_BYTES, lambda entry: len(entry[0]) + entry[1]
    )

    def compressed(body: bytes) -> bytes:
        if len(body) < _LARGE:
            return compress(body)
        found = kept.get(body)
        if found is None:
            found = compress(body), len(body)
            # ValueError: the body alone is larger than the cache.
            with contextlib.suppress(ValueError):
                kept[body] = found
        return found[0]

    return compressed
