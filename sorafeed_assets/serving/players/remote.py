"""Remote control at the player: what it is told, and what it reports."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.services.timelines.remote import Told, read_remote
from sorafeed_assets.serving.players.requests import display_of, entry_in, json_body


async def told(request: Request) -> Response:
    """The sound that the player has to have, and the last seek; each has an id."""
    server, code = display_of(request)
    remote = await server.run(lambda: read_remote(server.engine, code))
    seek = remote.seek and {
        "id": str(remote.seek.id),
        "entry": str(remote.seek.entry),
        "seconds": remote.seek.seconds,
    }
    return JSONResponse(
        {
            "muted": remote.is_muted,
            "volume": remote.volume,
            "sound": remote.sound_id and str(remote.sound_id),
            "seek": seek,
        }
    )


async def report(request: Request) -> Response:
    """Store what the player shows, its sound, and its place in the video on screen."""
    server, code = display_of(request)
    body = await json_body(request)
    view, muted, volume = body.get("view"), body.get("muted"), body.get("volume")
    seconds = body.get("seconds", 0)
    if not isinstance(view, str):
        raise InvalidInputError("view", "must be text")
    if not isinstance(muted, bool):
        raise InvalidInputError("muted", "must be true or false")
    if not isinstance(volume, int) or isinstance(volume, bool):
        raise InvalidInputError("volume", "must be a whole number")
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        raise InvalidInputError("seconds", "must be a number")
    entry = None if body.get("entry") is None else entry_in(body)
    told = Told(view, muted, volume, entry, seconds)
    changed = await server.change(lambda: server.commands.report(code, told))
    return JSONResponse({"changed": changed})
