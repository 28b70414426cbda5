"""Answers as small as the client can take them: zstd, brotli or gzip."""

import re
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, Protocol

import brotli
import zstandard
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LEAST: Final = 600
_LARGE: Final = 50_000
_MOST_PACKED: Final = 16
_STATIC: Final = "/static/"
_PARTIAL: Final = 206
_NOT_MODIFIED: Final = 304
_TYPES: Final = re.compile(r"(text/(?!event-stream)|application/(.*json|javascript)|image/svg)")
_SUFFIX: Final = re.compile(r'-(?:zstd|br|gzip)"')


class _Packer(Protocol):
    def add(self, data: bytes) -> bytes: ...
    def end(self) -> bytes: ...


class _Zstd:
    def __init__(self) -> None:
        self._inner = zstandard.ZstdCompressor(level=3).compressobj()

    def add(self, data: bytes) -> bytes:
        return self._inner.compress(data)

    def end(self) -> bytes:
        return self._inner.flush()


class _Brotli:
    def __init__(self) -> None:
        self._inner: Any = brotli.Compressor(quality=4)

    def add(self, data: bytes) -> bytes:
        return bytes(self._inner.process(data))

    def end(self) -> bytes:
        return bytes(self._inner.finish())


class _Gzip:
    def __init__(self) -> None:
        self._inner = zlib.compressobj(5, zlib.DEFLATED, 31)

    def add(self, data: bytes) -> bytes:
        return self._inner.compress(data)

    def end(self) -> bytes:
        return self._inner.flush()


_PACKERS: Final[dict[str, Callable[[], _Packer]]] = {"zstd": _Zstd, "br": _Brotli, "gzip": _Gzip}


@lru_cache(maxsize=_MOST_PACKED)
def _packed(coding: str, body: bytes) -> bytes:
    """A large answer that is kept is compressed once; the same bytes are known by their hash."""
    packer = _PACKERS[coding]()
    return packer.add(body) + packer.end()


@lru_cache(maxsize=500)
def choose_coding(accepted: str) -> str | None:
    """The best of our codings that an Accept-Encoding header takes."""
    weights: dict[str, float] = {}
    for part in accepted.lower().split(","):
        name, _, parameter = part.strip().partition(";")
        try:
            weight = float(parameter.strip().removeprefix("q=")) if parameter else 1.0
        except ValueError:
            weight = 0.0
        weights[name.strip()] = weight
    best = max(_PACKERS, key=lambda coding: weights.get(coding, weights.get("*", 0.0)))
    return best if weights.get(best, weights.get("*", 0.0)) > 0 else None


class Compression:
    """Compresses text as it is sent, whole or streamed; a compressed ETag says how."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        coding = None
        if scope["type"] == "http":
            coding = choose_coding(Headers(scope=scope).get("accept-encoding", ""))
        if coding is None:
            await self._app(scope, receive, send)
            return
        scope["headers"] = [
            (name, _SUFFIX.sub('"', value.decode("latin-1")).encode("latin-1"))
            if name == b"if-none-match"
            else (name, value)
            for name, value in scope["headers"]
        ]
        if scope["path"].startswith(_STATIC):
            # Read here, so that it can be compressed.
            scope["extensions"] = {
                name: value
                for name, value in scope.get("extensions", {}).items()
                if name != "http.response.pathsend"
            }
        await self._app(scope, receive, _Sender(send, coding))


class _Sender:
    """Sends one answer, compressed if that is worth it."""

    def __init__(self, send: Send, coding: str) -> None:
        self._send = send
        self._coding = coding
        self._start: Message | None = None
        self._packer: _Packer | None = None
        self._is_whole = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            # Held back until the first part of the body tells whether to compress.
            self._start = message
        elif message["type"] == "http.response.body":
            await self._body(message)
        else:
            # A file that the server itself sends, of a kind that is not compressed.
            if self._start is not None:
                start, self._start = self._start, None
                await self._send(start)
            await self._send(message)

    async def _body(self, message: Message) -> None:
        data, more = message.get("body", b""), message.get("more_body", False)
        if self._start is not None:
            start, self._start = self._start, None
            self._begin(start, len(data), is_whole=not more)
            await self._send(start)
        if self._packer is not None:
            if self._is_whole and len(data) >= _LARGE:
                data = _packed(self._coding, data)
            else:
                data = self._packer.add(data) + (b"" if more else self._packer.end())
            if more and not data:
                return
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    def _begin(self, start: Message, size: int, *, is_whole: bool) -> None:
        headers = MutableHeaders(scope=start)
        is_text = _TYPES.match(headers.get("content-type", "")) is not None
        if start["status"] == _NOT_MODIFIED:
            self._mark(headers)
            return
        if not is_text or start["status"] == _PARTIAL or "content-encoding" in headers:
            return
        headers.add_vary_header("Accept-Encoding")
        self._is_whole = is_whole
        if is_whole and size < _LEAST:
            return
        self._packer = _PACKERS[self._coding]()
        headers["content-encoding"] = self._coding
        self._mark(headers)
        if "content-length" in headers:
            del headers["content-length"]

    def _mark(self, headers: MutableHeaders) -> None:
        etag = headers.get("etag")
        if etag is not None and etag.endswith('"'):
            headers["etag"] = f'{etag[:-1]}-{self._coding}"'
