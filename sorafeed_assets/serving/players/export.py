"""Export of all posts that match a search, streamed as NDJSON.

An export keeps a connection to PostgreSQL, and a thread while it reads. Both are free at once when
its client disconnects, and after a time-out when the client stops reading.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import Future
from contextlib import suppress
from threading import Lock
from typing import Any, Final

import psycopg
import structlog
from psycopg import Connection
from sqlalchemy import Engine
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from sorafeed_assets.domain.catalog.search import Format, SearchQuery, parse_query
from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.serving.players.media import media_url, page_url
from sorafeed_assets.serving.state import ServerState
from sorafeed_assets.storage.catalog.export import stream_posts

_ROWS_AT_ONCE: Final = 500
_SECONDS: Final = 3_600
# A client has to read this many bytes in this time.
_PIECE_BYTES: Final = 64_000
_STALL_SECONDS: Final = 30.0
_CANCEL_SECONDS: Final = 2.0

_log: Final = structlog.get_logger(__name__)


async def export_posts(request: Request) -> Response:
    """Stream one line of JSON for each post that matches, in no particular order."""
    principal = request.state.principal
    principal.must_read()
    server: ServerState = request.app.state.server
    query = parse_query(request.query_params.get("search", ""), "search")
    given = request.query_params.get("format", Format.MIXED.value).lower()
    try:
        format_ = Format(given)
    except ValueError:
        raise InvalidInputError(
            "format", f"is {given[:20]!r}; it must be one of {', '.join(Format)}"
        ) from None
    free = server.exports.take(principal.token.id)
    engine = server.replica.engine_for(request) or server.engine
    export = _Export(engine, query, format_, server.exports.closed)
    return _ExportResponse(server, export, free)


class _Export:
    """The lines of an export, read in threads by one call at a time."""

    def __init__(
        self,
        engine: Engine,
        query: SearchQuery,
        format_: Format,
        on_close: Callable[["_Export"], None],
    ) -> None:
        self._on_close = on_close
        self._lines = self._read(engine, query, format_)
        self._connection: Connection[Any] | None = None
        self._lock = Lock()
        self._is_reading = False
        self._is_cancelled = False

    def next(self) -> bytes:
        """Read the next lines; empty at the end."""
        self._is_reading = True
        try:
            return next(self._lines, b"")
        finally:
            self._is_reading = False

    def close(self) -> None:
        """Return the connection."""
        self._lines.close()
        self._on_close(self)

    def cancel(self) -> None:
        """End the statement that another thread waits for."""
        with self._lock:
            if self._connection is None or not self._is_reading:
                return
            self._is_cancelled = True
            try:
                self._connection.cancel_safe(timeout=_CANCEL_SECONDS)
            except psycopg.Error as error:
                _log.warning("an abandoned export could not be cancelled", problem=str(error))

    def _read(
        self, engine: Engine, query: SearchQuery, format_: Format
    ) -> Generator[bytes, None, None]:
        with engine.connect() as connection:
            self._connection = connection.connection.driver_connection
            parts = stream_posts(connection, query, format_, part=_ROWS_AT_ONCE, seconds=_SECONDS)
            is_complete = False
            try:
                for part in parts:
                    yield b"".join(_line(row) for row in part)
                is_complete = True
            finally:
                with self._lock:
                    self._connection = None
                if self._is_cancelled or not is_complete:
                    # A cancellation may still arrive, and must not meet another statement, such as
                    # the one that would close the cursor; or the session is lost.
                    connection.invalidate()
                parts.close()


class _ExportResponse(StreamingResponse):
    """Streams an export, and frees its slot and its connection however it ends."""

    def __init__(self, server: ServerState, export: _Export, free: Callable[[], None]) -> None:
        super().__init__(
            self._pieces(),
            media_type="application/x-ndjson",
            headers={"content-disposition": 'attachment; filename="posts.ndjson"'},
        )
        self._server = server
        self._export = export
        self._free = free
        self._pending: Future[bytes] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the lines until the end, or until the client disconnects or stops reading."""

        async def send_in_time(message: Message) -> None:
            async with asyncio.timeout(_STALL_SECONDS):
                await send(message)

        exports = self._server.exports
        try:
            async with asyncio.timeout(None) as limit:
                with exports.sending(self._export, limit):
                    await super().__call__(scope, receive, send_in_time)
        except TimeoutError:
            # The body stays without its end, so the client knows that lines are missing.
            why = "the server stops" if limit.expired() else "its client stopped reading"
            _log.info(f"an export ended, because {why}")
        finally:
            self._free()
            self._release()

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        while True:
            self._pending = self._server.submit(self._export.next)
            part = await asyncio.wrap_future(self._pending)
            if not part:
                return
            for start in range(0, len(part), _PIECE_BYTES):
                yield part[start : start + _PIECE_BYTES]

    def _release(self) -> None:
        pending = self._pending
        if pending is None or pending.done():
            # A server that has ended its threads has closed the export, or does next.
            with suppress(RuntimeError):
                self._server.submit(self._export.close)
        else:
            pending.add_done_callback(lambda _: self._export.close())
            asyncio.get_running_loop().run_in_executor(None, self._export.cancel)


def _line(row: Any) -> bytes:
    record = {
        "id": row.id,
        "text": row.text,
        "posted_at": row.posted_at.isoformat(),
        "permalink": page_url(row.permalink),
        "video_url": media_url(row.id, row.video_url, row.width, row.height),
        "width": row.width,
        "height": row.height,
    }
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
