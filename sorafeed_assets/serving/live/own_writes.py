"""What each client has written, as a position in PostgreSQL's log: its reads have to see it.

A change's answer has the position in a header and a cookie, so that a client's next read may reach
another process. A client that sends neither is known here by its token, in this process.
"""

from typing import Final
from uuid import UUID

from cachetools import TTLCache
from starlette.requests import Request
from starlette.responses import Response

HEADER: Final = "sorafeed-written"
COOKIE: Final = "sorafeed_written"
BEYOND: Final = 1 << 62
"""A position that no replica reaches."""
_SECONDS: Final = 120
_MOST_TOKENS: Final = 100_000
_MOST_DIGITS: Final = 19


class OwnWrites:
    """The newest position that each token has written in this process."""

    def __init__(self) -> None:
        self._positions: TTLCache[UUID, int] = TTLCache(_MOST_TOKENS, _SECONDS)

    def after(self, request: Request, token: UUID) -> int | None:
        """The position that a request has to see; None when its client wrote nothing lately."""
        given = (request.headers.get(HEADER), request.cookies.get(COOKIE))
        known = [position for position in map(_position, given) if position is not None]
        mine = self._positions.get(token)
        return max([*known, *([] if mine is None else [mine])], default=None)

    def note(self, response: Response, token: UUID, position: int) -> None:
        """Remember a change, and give its position to its client."""
        self._positions[token] = max(position, self._positions.get(token, 0))
        response.headers[HEADER] = str(position)
        response.set_cookie(
            COOKIE, str(position), max_age=_SECONDS, path="/", httponly=True, samesite="strict"
        )


def _position(given: str | None) -> int | None:
    """A position that a client sent; None for what is none."""
    if given is None or not given.isascii() or not given.isdigit() or len(given) > _MOST_DIGITS:
        return None
    return int(given)
