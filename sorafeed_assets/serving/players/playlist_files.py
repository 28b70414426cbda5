"""Playlists and their time slots as CSV and JSON files, as an import reads them."""

from typing import Final
from urllib.parse import quote
from uuid import UUID

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sorafeed_assets.domain.errors import InvalidInputError, NotFoundError, PlaylistNotFoundError
from sorafeed_assets.domain.playlists.files import FileKind
from sorafeed_assets.domain.playlists.slot_files import parse_slots_csv, parse_slots_json
from sorafeed_assets.services.playlists.files import find_playlist, playlist_text, slots_text
from sorafeed_assets.serving.state import ServerState

_TYPES: Final = {FileKind.CSV: "text/csv", FileKind.JSON: "application/json"}


async def playlist_file(request: Request) -> Response:
    """A playlist as ``/api/playlists/{id}.csv`` or ``.json``."""
    return await _exported(request, is_of_slots=False)


async def slots_file(request: Request) -> Response:
    """The time slots of a playlist as ``/api/playlists/{id}/slots.csv`` or ``.json``."""
    return await _exported(request, is_of_slots=True)


async def replace_slots(request: Request) -> Response:
    """Replace the time slots of a playlist by those of the file that is the body."""
    request.state.principal.must_change()
    server: ServerState = request.app.state.server
    key, kind = _asked(request)
    try:
        text = (await request.body()).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidInputError("body", "is not UTF-8; save the file as UTF-8") from None
    drafts = parse_slots_json(text) if kind is FileKind.JSON else parse_slots_csv(text)
    change = await server.change(lambda: server.commands.replace_slots(key, drafts))
    return JSONResponse(
        {"display": change.display_id, "slots": len(drafts), "problem": change.problem}
    )


async def _exported(request: Request, *, is_of_slots: bool) -> Response:
    server: ServerState = request.app.state.server
    key, kind = _asked(request)
    found = await server.run(lambda: find_playlist(server.engine, key))
    request.state.principal.must_read(found.playlist.display_id if found else None)
    if found is None:
        raise PlaylistNotFoundError(key)
    text = slots_text(found, kind) if is_of_slots else playlist_text(found, kind)
    what = " time slots" if is_of_slots else ""
    name = quote(f"{found.playlist.name}{what}.{kind}", safe="")
    return Response(
        text,
        media_type=_TYPES[kind],
        headers={"content-disposition": f"attachment; filename*=UTF-8''{name}"},
    )


def _asked(request: Request) -> tuple[UUID, FileKind]:
    """The playlist of an address, and the kind of file."""
    try:
        kind = FileKind(request.path_params["kind"])
    except ValueError:
        raise NotFoundError(f"a playlist's files are {' and '.join(FileKind)}") from None
    try:
        return UUID(request.path_params["playlist_id"]), kind
    except ValueError:
        raise InvalidInputError("playlist_id", "must be the id of a playlist") from None
