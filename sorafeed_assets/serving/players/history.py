"""A display's plays as CSV, page by page, so that no connection is kept for a slow client."""

import csv
import io
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from sorafeed_assets.domain.errors import DisplayNotFoundError
from sorafeed_assets.domain.playlists.playlist import check_display_code
from sorafeed_assets.services.timelines.history import PlayFilter, PlayRecord, read_plays
from sorafeed_assets.serving.access.access import Principal
from sorafeed_assets.serving.state import ServerState
from sorafeed_assets.storage.lists import FIRST_PAGE, After

_ROWS_AT_ONCE: Final = 1_000
_COLUMNS: Final = ("played_at", "video_id", "search", "loop", "outcome", "text")
# A spreadsheet would compute a cell that begins with one of these.
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r")


async def history_csv(request: Request) -> Response:
    """Stream the plays of a display, the latest first, filtered like the page's history."""
    code = check_display_code(request.path_params["code"])
    principal: Principal = request.state.principal
    principal.must_read(code)
    server: ServerState = request.app.state.server
    wanted = PlayFilter.of_query(request.query_params)
    if not await server.run(lambda: server.queries.displays([code])):
        raise DisplayNotFoundError(code)
    return StreamingResponse(
        _lines(server, code, wanted),
        media_type="text/csv; charset=utf-8",
        headers={"content-disposition": f'attachment; filename="history-{code}.csv"'},
    )


async def _lines(server: ServerState, code: str, wanted: PlayFilter) -> AsyncGenerator[str, None]:
    yield _csv([_COLUMNS])
    after = FIRST_PAGE
    while plays := await server.run(
        partial(read_plays, server.engine, code, _ROWS_AT_ONCE, after, wanted)
    ):
        yield _csv([_row(play) for play in plays])
        after = After(plays[-1].played_at, plays[-1].id)


def _row(play: PlayRecord) -> tuple[str, ...]:
    return (
        play.played_at.isoformat(),
        play.video_id,
        play.search or "",
        str(play.loop_iteration + 1),
        play.outcome,
        play.text or "",
    )


def _csv(rows: Sequence[tuple[str, ...]]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out).writerows(
        [f"'{cell}" if cell.startswith(_FORMULAS) else cell for cell in row] for row in rows
    )
    return out.getvalue()
