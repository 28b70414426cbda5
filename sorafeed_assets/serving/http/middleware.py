"""Middleware of all requests: request id, headers, log, body limit, authentication."""

import asyncio
import re
import secrets
import time
from collections.abc import Mapping
from typing import Final

import structlog
from opentelemetry import trace
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sorafeed_assets.domain.errors import SorafeedError, UnavailableError
from sorafeed_assets.services.tokens import Token
from sorafeed_assets.serving.access.access import (
    Principal,
    checked,
    is_same_origin,
    secrets_of,
)
from sorafeed_assets.serving.http.errors import (
    INTERNAL,
    BodyTooLargeError,
    ForbiddenError,
    UnauthenticatedError,
    error_response,
    internal_message,
    response_for,
)
from sorafeed_assets.serving.state import ServerState

MAX_BODY: Final = 1_000_000
# Read and discarded, so that a client that is still sending gets the response.
_DISCARDED: Final = 16_000_000
_OPEN: Final = ("/healthz", "/readyz", "/static/", "/clips/", "/favicon.ico")
# Pages answer a request without a token themselves, with the sign-in form.
_PAGES: Final = ("/admin", "/player")
_HOME: Final = "/"
_OF_DISPLAY: Final = re.compile(r"/(?:api/displays|player)/([A-Z0-9]{6})(?:/|$)", re.ASCII)
# A player page reports plays of its display with the cookie of that display.
_PLAYS: Final = "/api/plays"
_OF_PLAYER: Final = re.compile(rb"display=([A-Z0-9]{6})")
_OF_PLAYERS: Final = "/api/displays/{code}/"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_BODY_HEADERS: Final = frozenset({b"content-length", b"transfer-encoding"})
# A megabyte takes as long at 270 kbit/s.
_BODY_SECONDS: Final = 30.0

SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: https:;"
        " media-src 'self' https: blob:; connect-src 'self' https:; font-src 'self';"
        " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}

_USUAL_HEADERS: Final = [
    (name.encode(), value.encode())
    for name, value in {**SECURITY_HEADERS, "cache-control": "no-store"}.items()
]
_USUAL_NAMES: Final = frozenset(name for name, _ in _USUAL_HEADERS)

_log: Final = structlog.get_logger("sorafeed.access")


class ForwardedMiddleware:
    """Complete the headers of a proxy, because Granian ignores the scheme without an address."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http":
            headers = MutableHeaders(scope=scope)
            scheme = headers.get("x-forwarded-proto")
            if scheme is not None:
                # Several proxies may each have added theirs; the first one spoke to the client.
                headers["x-forwarded-proto"] = scheme.partition(",")[0].strip().lower()
                headers.setdefault("x-forwarded-for", (scope.get("client") or ("?", 0))[0])
        await self._app(scope, receive, send)


class RequestMiddleware:
    """Add the request id and security headers, count and log the request, hide tracebacks."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        scope["state"] = {**scope.get("state", {}), "request_id": request_id}
        started = time.perf_counter()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                given = {name for name, _ in message["headers"]}
                usual = (
                    _USUAL_HEADERS
                    if _USUAL_NAMES.isdisjoint(given)
                    else [each for each in _USUAL_HEADERS if each[0] not in given]
                )
                its_id = (b"x-request-id", request_id.encode())
                message = {**message, "headers": [*message["headers"], *usual, its_id]}
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:  # noqa: BLE001  # no detail may reach the client
            _log.error("failed", request_id=request_id, exc_info=error)
            if not status:
                response = error_response(
                    INTERNAL.status,
                    INTERNAL.code,
                    internal_message(request_id),
                    request_id,
                    accept=Headers(scope=scope).get("accept"),
                )
                await response(scope, receive, send_with_headers)
        finally:
            seconds = time.perf_counter() - started
            route = getattr(scope.get("route"), "path", "none")
            _name_span(scope["method"], route, request_id)
            server: ServerState = scope["app"].state.server
            server.metrics.answered(route, status, seconds)
            if status and route.startswith(_OF_PLAYERS):
                server.troubles.answered(scope["path_params"]["code"], status)
            _log.info(
                "request",
                request_id=request_id,
                method=scope["method"],
                path=scope["path"],
                status=status,
                milliseconds=round(seconds * 1000, 2),
            )


def _name_span(method: str, route: str, request_id: str) -> None:
    """Name the span of a request after its route, which is not known when it begins."""
    span = trace.get_current_span()
    if span.is_recording():
        span.update_name(f"{method} {route}")
        span.set_attributes({"http.route": route, "sorafeed.request_id": request_id})


class BodyLimitMiddleware:
    """Refuse bodies that are too large, by declared and by actual size, or that take too long.

    It holds for every method: a route that expects no body gets none.
    """

    def __init__(self, app: ASGIApp, most: int = MAX_BODY) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if scope["method"] in _SAFE and not _announces_body(scope):
            await self._app(scope, _after(b"", receive), send)
            return
        request_id = scope["state"]["request_id"]
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                body = await self._read(scope, receive)
        except BodyTooLargeError as error:
            await response_for(error, request_id)(scope, receive, send)
        except ClientDisconnect:
            # The server would answer 500 to a body that is not HTTP.
            text = "the body is broken or ended early; send it again"
            await error_response(400, "BAD_REQUEST", text, request_id)(scope, receive, send)
        except TimeoutError:
            text = f"the body did not arrive within {_BODY_SECONDS:g} s; send it again"
            await error_response(408, "REQUEST_TIMEOUT", text, request_id)(scope, receive, send)
        else:
            await self._app(scope, _after(body, receive), send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        parts: list[bytes] = []
        size = 0
        said = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        is_large = said.isdigit() and int(said[:12]) > self._most
        has_more = True
        while has_more and not is_large:
            message = await receive()
            if message["type"] != "http.request":
                raise ClientDisconnect
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            is_large = size > self._most
            has_more = message.get("more_body", False)
        if is_large:
            if has_more:
                parts.clear()
                await _discard(receive)
            raise BodyTooLargeError(f"the body is over {self._most:,} bytes; send less")
        return b"".join(parts)


def _announces_body(scope: Scope) -> bool:
    return any(name in _BODY_HEADERS for name, _ in scope["headers"])


def _after(body: bytes, receive: Receive) -> Receive:
    """What the application receives: the body, and then that the client disconnected."""
    is_sent = False

    async def receive_again() -> Message:
        nonlocal is_sent
        if not is_sent:
            is_sent = True
            return {"type": "http.request", "body": body, "more_body": False}
        # Without Content-Length, HTTP/2 may send a body that was not announced.
        while (message := await receive())["type"] == "http.request":
            pass
        return message

    return receive_again


async def _discard(receive: Receive) -> None:
    discarded = 0
    while discarded < _DISCARDED:
        message = await receive()
        discarded += len(message.get("body", b""))
        if not message.get("more_body", False):
            return


class AuthenticationMiddleware:
    """Authenticate a request and apply the rate limits."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request; its principal is in the request's state."""
        path: str = scope.get("path", "")
        if scope["type"] != "http" or path.startswith(_OPEN):
            await self._app(scope, receive, send)
            return
        server: ServerState = scope["app"].state.server
        headers = Headers(scope=scope)
        caller = (scope.get("client") or ("?", 0))[0]
        try:
            try:
                principal = await _principal(server, headers, _display_of(scope), caller)
            except UnauthenticatedError:
                if path != _HOME and not path.startswith(_PAGES):
                    server.rates.unauthenticated.take(caller)
                    raise
                principal = None
            if principal is not None:
                server.rates.tokens.take(principal.token.id)
                _refuse_forged(scope, headers, principal)
        except SorafeedError as error:
            response = response_for(error, scope["state"]["request_id"], headers.get("accept"))
            await response(scope, receive, send)
            return
        scope["state"]["principal"] = principal
        await self._app(scope, receive, send)


def _display_of(scope: Scope) -> str | None:
    """The display whose cookie a request may be authenticated by."""
    if scope["path"] == _PLAYS:
        player = _OF_PLAYER.fullmatch(scope["query_string"])
        return None if player is None else player[1].decode()
    found = _OF_DISPLAY.match(scope["path"])
    return None if found is None else found[1]


async def _principal(
    server: ServerState, headers: Headers, display_id: str | None, caller: str
) -> Principal:
    refusal_found = UnauthenticatedError(
        "a token is needed: send Authorization: Bearer TOKEN; see `sorafeed tokens`"
    )
    for secret, by_cookie in secrets_of(headers, display_id):
        try:
            return Principal(checked(await _token(server, secret, caller)), by_cookie)
        except UnauthenticatedError as error:
            refusal_found = error
    raise refusal_found


async def _token(server: ServerState, secret: str, caller: str) -> Token | None:
    is_known, token = server.tokens.get(secret)
    if is_known:
        return token
    generation = server.tokens.generation
    try:
        token = await server.stored_tokens.read(secret)
    except UnavailableError:
        # While PostgreSQL does not answer, tokens that were valid before stay valid.
        stale = server.tokens.stale(secret)
        if stale is None:
            raise
        return stale
    if token is None:
        server.rates.unauthenticated.take(caller)
    server.tokens.put(secret, token, generation)
    return token


def _refuse_forged(scope: Scope, headers: Headers, principal: Principal) -> None:
    """Refuse a change that another site's page sent with this site's cookie."""
    if principal.by_cookie and scope["method"] not in _SAFE and not is_same_origin(headers):
        raise ForbiddenError("the request was sent by a page of another site; nothing was changed")
