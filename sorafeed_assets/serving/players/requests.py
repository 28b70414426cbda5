"""The common parts of players' requests: the display, the JSON body, the entry."""

from typing import Any, Final
from uuid import UUID

import orjson
from starlette.requests import Request

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.playlists.playlist import check_display_code
from sorafeed_assets.domain.text import shown
from sorafeed_assets.serving.state import ServerState

MAX_DURATION_MS: Final = 86_400_000
"""A day."""


def display_of(request: Request) -> tuple[ServerState, str]:
    """The server, and the display of the path, which the token permits.

    Raises:
        InvalidInputError: it is not a display's code.
        ForbiddenError: the token is of another display.
    """
    code = check_display_code(request.path_params["code"])
    request.state.principal.must_read(code)
    return request.app.state.server, code


def number_in(given: str, field: str, least: int, most: int) -> int:
    """A whole number of an address.

    Raises:
        InvalidInputError: it is none from ``least`` to ``most``.
    """
    # Many digits, leading zeros too, are refused unread: int() fails on thousands.
    is_short = len(given) <= len(str(most))
    if is_short and given.isascii() and given.isdigit() and least <= int(given) <= most:
        return int(given)
    raise InvalidInputError(field, f"is {shown(given)}; it must be {least} to {most}")


async def json_body(request: Request) -> dict[str, Any]:
    """Read the JSON object of a request.

    Raises:
        InvalidInputError: the body is something else.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise InvalidInputError("content-type", f"is {kind!r}; send application/json")
    try:
        body = orjson.loads(await request.body())
    except ValueError:
        raise InvalidInputError("body", "is not JSON") from None
    if not isinstance(body, dict):
        raise InvalidInputError("body", "must be a JSON object")
    return body


def entry_in(body: dict[str, Any], field: str = "entry") -> UUID:
    """The queue entry that a body names; ``field`` is how an error names it.

    Raises:
        InvalidInputError: it is not an id.
    """
    entry = body.get("entry")
    try:
        return UUID(entry if isinstance(entry, str) else "")
    except ValueError:
        raise InvalidInputError(field, "must be the id of a queue entry") from None


def duration_in(body: dict[str, Any]) -> int | None:
    """How long the video is that a body names, in milliseconds; None when it does not say.

    Raises:
        InvalidInputError: it is no duration of a video.
    """
    duration = body.get("duration_ms")
    if duration is None:
        return None
    if (
        isinstance(duration, int)
        and not isinstance(duration, bool)
        and 100 <= duration <= MAX_DURATION_MS
    ):
        return duration
    raise InvalidInputError("duration_ms", f"must be a whole number from 100 to {MAX_DURATION_MS}")
