"""Error responses: one table of codes and statuses, for HTTP and for GraphQL.

Exceptions that only this floor raises are here too. A response never shows internals.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from sorafeed_assets.domain.errors import (
    InvalidInputError,
    NotDrivenError,
    NotFoundError,
    SorafeedError,
    UnavailableError,
)
from sorafeed_assets.domain.wording import in_words
from sorafeed_assets.serving.pages.rendering import render


class UnauthenticatedError(SorafeedError):
    """A request has no token, or one that is unknown, expired or revoked."""


class ForbiddenError(SorafeedError):
    """A valid token does not permit this request."""


class TooManyCallsError(SorafeedError):
    """A client exceeds its calls per second."""


class BodyTooLargeError(SorafeedError):
    """The body of a request exceeds the limit."""


class QueryTooLargeError(SorafeedError):
    """A query exceeds a limit."""


class KeyReusedError(InvalidInputError):
    """An idempotency key was used for another request."""


class StillRunningError(UnavailableError):
    """The first request with this idempotency key is still being executed."""


class OutcomeUnknownError(SorafeedError):
    """The server that executed a request ended before it stored the answer."""


class ErrorKind(NamedTuple):
    """The code and the HTTP status of an error."""

    code: str
    status: int


# The first match counts, so subclasses come before their base.
_KINDS: Final[tuple[tuple[type[SorafeedError], ErrorKind], ...]] = (
    (KeyReusedError, ErrorKind("BAD_USER_INPUT", 422)),
    (InvalidInputError, ErrorKind("BAD_USER_INPUT", 400)),
    (BodyTooLargeError, ErrorKind("BODY_TOO_LARGE", 413)),
    (QueryTooLargeError, ErrorKind("QUERY_TOO_LARGE", 400)),
    (UnauthenticatedError, ErrorKind("UNAUTHENTICATED", 401)),
    (ForbiddenError, ErrorKind("FORBIDDEN", 403)),
    (NotFoundError, ErrorKind("NOT_FOUND", 404)),
    (NotDrivenError, ErrorKind("NOT_DRIVEN", 409)),
    (StillRunningError, ErrorKind("UNAVAILABLE", 409)),
    (OutcomeUnknownError, ErrorKind("OUTCOME_UNKNOWN", 409)),
    (TooManyCallsError, ErrorKind("TOO_MANY_CALLS", 429)),
    (UnavailableError, ErrorKind("UNAVAILABLE", 503)),
)
_OTHER: Final = ErrorKind("REFUSED", 400)
# What Starlette says of a route.
_PAGE_MESSAGES: Final[Mapping[str, str]] = {
    "Not Found": "there is no page at this address; check it, or start from the list of displays",
    "Method Not Allowed": "this address is for programs; start from the list of displays",
}
_TITLES: Final[Mapping[int, str]] = {
    400: "This request is not valid",
    401: "Sign in first",
    403: "You may not do this",
    404: "Not found",
    405: "This does not work here",
    429: "Too many requests",
    500: "Something went wrong",
    503: "Not available at the moment",
}
INTERNAL: Final = ErrorKind("INTERNAL", 500)


def kind_of(error: SorafeedError) -> ErrorKind:
    """The code and the HTTP status of an error."""
    return next((kind for raised, kind in _KINDS if isinstance(error, raised)), _OTHER)


def headers_of(error: SorafeedError) -> dict[str, str]:
    """The headers of an error response."""
    if isinstance(error, (UnavailableError, TooManyCallsError)):
        return {"retry-after": "1"}
    if isinstance(error, UnauthenticatedError):
        return {"www-authenticate": 'Bearer realm="sorafeed"'}
    return {}


def internal_message(request_id: str) -> str:
    """The message for an unexpected error, which only refers to the log."""
    return f"internal error; see request {request_id} in the log"


def error_response(
    status: int,
    code: str,
    message: str,
    request_id: str,
    *,
    field: str | None = None,
    headers: Mapping[str, str] | None = None,
    accept: str | None = None,
) -> Response:
    """An error outside GraphQL: as a page for a browser, by its Accept header, else as JSON."""
    if _wants_page(accept):
        message = _PAGE_MESSAGES.get(message, message)
        page = render(
            "error.html",
            title=_TITLES.get(status, "This did not work"),
            message=f"{message[:1].upper()}{message[1:]}".rstrip(".") + ".",
            can_retry=status in {408, 429, 503},
            request_id=request_id,
        )
        return HTMLResponse(page, status, dict(headers or {}))
    error = {"code": code, "message": message, "request_id": request_id}
    if field is not None:
        error["field"] = field
    return JSONResponse({"error": error}, status, dict(headers or {}))


def _wants_page(accept: str | None) -> bool:
    """Whether a client prefers HTML: it names it, and before JSON."""
    types = [part.partition(";")[0].strip().lower() for part in (accept or "").split(",")]
    wanted = next((name for name in types if name in {"text/html", "application/json"}), None)
    return wanted == "text/html"


def response_for(error: SorafeedError, request_id: str, accept: str | None = None) -> Response:
    """The response to a request that raised an error."""
    kind = kind_of(error)
    message, field = str(error), None
    if isinstance(error, InvalidInputError):
        field = error.field
        if _wants_page(accept):
            message = " ".join(in_words(each) for each in error.errors)
    return error_response(
        kind.status,
        kind.code,
        message,
        request_id,
        field=field,
        headers=headers_of(error),
        accept=accept,
    )


async def on_sorafeed_error(request: Request, error: Exception) -> Response:
    """Handle the errors that a client can act on."""
    if not isinstance(error, SorafeedError):
        raise error
    accept = request.headers.get("accept")
    return response_for(error, request.state.request_id, accept)
