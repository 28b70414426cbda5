"""Playlists as CSV and JSON files, as an import reads them."""

from typing import Final
from urllib.parse import quote
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from sorafeed_assets.domain.errors import InvalidInputError, NotFoundError, PlaylistNotFoundError
from sorafeed_assets.domain.playlists.files import playlist_csv, playlist_json
from sorafeed_assets.serving.state import ServerState

_TYPES: Final = {"csv": "text/csv", "json": "application/json"}


async def playlist_file(request: Request) -> Response:
    """A playlist as ``/api/playlists/{id}.csv`` or ``.json``."""
    server: ServerState = request.app.state.server
    kind = request.path_params["kind"]
    if kind not in _TYPES:
        raise NotFoundError(f"playlists are exported as {' and '.join(_TYPES)}")
    try:
        key = UUID(request.path_params["playlist_id"])
    except ValueError:
        raise InvalidInputError("playlist_id", "must be the id of a playlist") from None
    record = (await server.run(lambda: server.queries.playlists([key]))).get(key)
    request.state.principal.must_read(record.display_id if record else None)
    if record is None:
        raise PlaylistNotFoundError(key)
    blocks = (await server.run(lambda: server.queries.blocks([key]))).get(key, [])
    text = playlist_csv(blocks) if kind == "csv" else playlist_json(record.name, blocks)
    name = quote(f"{record.name}.{kind}", safe="")
    return Response(
        text,
        media_type=_TYPES[kind],
        headers={"content-disposition": f"attachment; filename*=UTF-8''{name}"},
    )
