"""Export of all posts that match a search, streamed as NDJSON."""

import asyncio
import json
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import Future
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from sorafeed_assets.domain.catalog.search import Format, SearchQuery, parse_query
from sorafeed_assets.domain.errors import InvalidInputError, UnavailableError
from sorafeed_assets.serving.players.media import media_url, page_url
from sorafeed_assets.serving.state import MOST_EXPORTS, ServerState
from sorafeed_assets.storage.catalog.export import stream_posts

_ROWS_AT_ONCE: Final = 500
_SECONDS: Final = 3_600


async def export_posts(request: Request) -> Response:
    """Stream one line of JSON for each post that matches, in no particular order."""
    request.state.principal.must_read()
    server: ServerState = request.app.state.server
    query = parse_query(request.query_params.get("search", ""), "search")
    given = request.query_params.get("format", Format.MIXED.value).lower()
    try:
        format_ = Format(given)
    except ValueError:
        raise InvalidInputError(
            "format", f"is {given[:20]!r}; it must be one of {', '.join(Format)}"
        ) from None
    if server.exports.locked():
        raise UnavailableError(
            f"{MOST_EXPORTS} exports are running; try again when one has finished"
        )
    return StreamingResponse(
        _stream(server, _lines(server, query, format_)),
        media_type="application/x-ndjson",
        headers={"content-disposition": 'attachment; filename="posts.ndjson"'},
    )


async def _stream(
    server: ServerState, lines: Generator[bytes, None, None]
) -> AsyncGenerator[bytes, None]:
    """Yield parts as they are read; release the connection when the client disconnects."""
    pending: Future[bytes] | None = None
    async with server.exports:
        try:
            while True:
                pending = server.submit(lambda: next(lines, b""))
                part = await asyncio.wrap_future(pending)
                if not part:
                    return
                yield part
        finally:
            if pending is None or pending.done():
                server.submit(lines.close)
            else:
                pending.add_done_callback(lambda _: lines.close())


def _lines(
    server: ServerState, query: SearchQuery, format_: Format
) -> Generator[bytes, None, None]:
    with server.engine.connect() as connection:
        parts = stream_posts(connection, query, format_, part=_ROWS_AT_ONCE, seconds=_SECONDS)
        for part in parts:
            yield b"".join(_line(row) for row in part)


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
