"""Signing in to the pages: by a link with a token, or by the form that asks for one."""

import re
from datetime import UTC, datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from sorafeed_assets.services.tokens import Role, find_token, find_tokens
from sorafeed_assets.serving.access.access import (
    ADMIN_COOKIE,
    Principal,
    checked,
    cookies_named,
    is_from_elsewhere,
    player_cookie,
)
from sorafeed_assets.serving.http.errors import (
    ForbiddenError,
    TooManyCallsError,
    UnauthenticatedError,
    kind_of,
)
from sorafeed_assets.serving.pages.forms import fields_of
from sorafeed_assets.serving.pages.rendering import render
from sorafeed_assets.serving.state import ServerState

# Without a referrer, browsers do not name the origin of a form on plain http.
REFERRER: Final = {"referrer-policy": "same-origin"}
"""The headers of every page with a form."""
_TARGET: Final = re.compile(r"/(?:admin(?:/[\w/-]*)?|player/[A-Z0-9]{6})", re.ASCII)
_OF_DISPLAY: Final = re.compile(r"/(?:player|admin/displays)/([A-Z0-9]{6})", re.ASCII)
_WEEK: Final = 7 * 86_400
# Browsers keep no cookie longer; the player page renews it.
_LONGEST: Final = 400 * 86_400


async def enter(request: Request) -> Response:
    """Sign in: store a valid token in a cookie."""
    fields = await fields_of(request)
    secret = fields.get("token", "")
    target = fields.get("next", "/admin")
    if not _TARGET.fullmatch(target):
        target = "/admin"
    name = ADMIN_COOKIE
    if target.startswith("/player/"):
        name = player_cookie(target.removeprefix("/player/"))
    return await _keep(request, secret, name, target)


async def leave(request: Request) -> Response:
    """Sign out."""
    await fields_of(request)
    response = RedirectResponse("/admin", 303)
    response.delete_cookie(ADMIN_COOKIE)
    return response


async def entered(request: Request, cookie: str) -> Response | None:
    """Handle a link with a token: store it in a cookie and redirect to the plain address.

    A link on another site's page, and one that would replace a valid token, has to be confirmed.
    """
    path: str = request.scope["path"]
    target = path.rstrip("/")
    secret = request.query_params.get("token")
    if secret is None:
        return None if path == target else RedirectResponse(target, 308)
    if is_from_elsewhere(request.headers) or await _replaces(request, secret, cookie):
        return sign_in(target, secret=secret, status=200)
    return await _keep(request, secret, cookie, target)


async def _replaces(request: Request, secret: str, cookie: str) -> bool:
    """Whether the browser has another valid token in this cookie."""
    server: ServerState = request.app.state.server
    others = [each for each in cookies_named(request.headers, cookie) if each != secret]
    found = await server.run(lambda: find_tokens(server.engine, others)) if others else {}
    now = datetime.now(UTC)
    return any(token.problem(now) is None for token in found.values())


async def _keep(request: Request, secret: str, cookie: str, target: str) -> Response:
    server: ServerState = request.app.state.server
    try:
        # Before the token is read: every try counts, also the one that finds a token.
        server.rates.unauthenticated.take(request.client.host if request.client else "?")
        token = checked(await server.run(lambda: find_token(server.engine, secret)))
        found = _OF_DISPLAY.match(target)
        Principal(token, by_cookie=True).must_read(found and found[1])
    except (UnauthenticatedError, ForbiddenError, TooManyCallsError) as error:
        return sign_in(target, str(error), status=kind_of(error).status)
    response = RedirectResponse(target, 303)
    if token.role is Role.DISPLAY and token.expires_at is None:
        keep_on_screen(request, response, cookie, secret)
        return response
    response.set_cookie(
        cookie,
        secret,
        max_age=_WEEK,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
        expires=token.expires_at,
    )
    return response


def keep_on_screen(request: Request, response: Response, cookie: str, secret: str) -> None:
    """Store a screen's token in a cookie, for as long as browsers keep one."""
    response.set_cookie(
        cookie,
        secret,
        max_age=_LONGEST,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )


def sign_in(
    target: str = "/admin",
    problem: str | None = None,
    *,
    secret: str | None = None,
    status: int = 401,
) -> Response:
    """The form to sign in with a token, which leads to ``target``.

    ``secret`` is that of a link to confirm.
    """
    body = render("sign_in.html", target=target, problem=problem, secret=secret)
    return HTMLResponse(body, status, headers=REFERRER)


def principal_of(request: Request) -> Principal:
    """The principal of a request that a page's script makes.

    Raises:
        UnauthenticatedError: it has no valid token.
    """
    principal: Principal | None = request.state.principal
    if principal is None:
        raise UnauthenticatedError("sign in again")
    return principal


def permitted(
    request: Request, target: str, display_id: str | None = None, *, changes: bool = False
) -> Principal | Response:
    """The principal who may read a page, or the form to sign in with another token.

    A page that ``changes`` something is for admins.
    """
    principal: Principal | None = request.state.principal
    if principal is None:
        return sign_in(target)
    try:
        if changes:
            principal.must_change()
        else:
            principal.must_read(display_id)
    except ForbiddenError as error:
        return sign_in(target, str(error), status=kind_of(error).status)
    return principal
