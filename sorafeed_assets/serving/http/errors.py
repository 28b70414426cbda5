"""Errors as HTTP answers: a code, a message, the request's id, and nothing from inside."""

from collections.abc import Mapping
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sorafeed_assets.domain.errors import (
    InvalidInputError,
    NotFoundError,
    SorafeedError,
    UnavailableError,
)
from sorafeed_assets.serving.access.access import (
    ForbiddenError,
    TooManyCallsError,
    UnauthenticatedError,
)

_STATUS: Final[tuple[tuple[type[SorafeedError], int, str], ...]] = (
    (InvalidInputError, 400, "BAD_USER_INPUT"),
    (UnauthenticatedError, 401, "UNAUTHENTICATED"),
    (ForbiddenError, 403, "FORBIDDEN"),
    (NotFoundError, 404, "NOT_FOUND"),
    (TooManyCallsError, 429, "TOO_MANY_CALLS"),
    (UnavailableError, 503, "UNAVAILABLE"),
)

_log: Final = structlog.get_logger(__name__)


def refusal(
    status: int,
    code: str,
    message: str,
    request_id: str,
    *,
    field: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """What every refused request is answered with."""
    error = {"code": code, "message": message, "request_id": request_id}
    if field is not None:
        error["field"] = field
    return JSONResponse({"error": error}, status, dict(headers or {}))


def refused(error: SorafeedError, request_id: str) -> Response:
    """The answer to a request that an error of ours refused."""
    status, code = next(
        ((status, code) for kind, status, code in _STATUS if isinstance(error, kind)),
        (400, "REFUSED"),
    )
    headers: dict[str, str] = {}
    if isinstance(error, (UnavailableError, TooManyCallsError)):
        headers["retry-after"] = "1"
    if isinstance(error, UnauthenticatedError):
        headers["www-authenticate"] = 'Bearer realm="sorafeed"'
    field = error.field if isinstance(error, InvalidInputError) else None
    return refusal(status, code, str(error), request_id, field=field, headers=headers)


async def on_sorafeed_error(request: Request, error: Exception) -> Response:
    """For errors that a user can act on."""
    if not isinstance(error, SorafeedError):
        raise error
    return refused(error, request.state.request_id)
