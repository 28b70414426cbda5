"""The page of a screen that has no token yet: it shows a code until an admin connects it."""

from datetime import UTC, datetime
from typing import Final
from urllib.parse import urljoin

import segno
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from sorafeed_assets.domain.pairing import shown_code
from sorafeed_assets.services.pairing import LIFE, Pairing, begin_pairing, find_pairing
from sorafeed_assets.services.tokens import Token, find_token, find_tokens
from sorafeed_assets.serving.access.access import (
    cookies_named,
    is_same_origin,
    player_cookie,
    player_cookies,
)
from sorafeed_assets.serving.http.errors import ForbiddenError
from sorafeed_assets.serving.pages.rendering import render
from sorafeed_assets.serving.pages.signing_in import REFERRER, keep_on_screen
from sorafeed_assets.serving.state import ServerState

_COOKIE: Final = "sorafeed_pairing"
_PATH: Final = "/player"


async def show(request: Request) -> Response:
    """The player of the display that this browser has a token for, or the page with a code."""
    server: ServerState = request.app.state.server
    server.rates.pairing_polls.take(_caller(request))
    kept = player_cookies(request.headers)
    if kept:
        found = await server.run(lambda: find_tokens(server.engine, kept.values()))
        now = datetime.now(UTC)
        valid = [
            token
            for display_id, secret in kept.items()
            for token in [found.get(secret)]
            if token is not None and token.display_id == display_id and token.problem(now) is None
        ]
        if valid:
            newest = max(valid, key=lambda token: token.created_at)
            return RedirectResponse(f"{_PATH}/{newest.display_id}", 303)
    return HTMLResponse(render("pairing.html"), headers=REFERRER)


async def begin(request: Request) -> Response:
    """Give the screen a code, or the one that it has already, until that expires."""
    server: ServerState = request.app.state.server
    if not is_same_origin(request.headers):
        raise ForbiddenError("another site's page sent this; open /player on the screen")
    known, waiting, _ = await _state(request)
    if known is not None and waiting is not None:
        secret, pairing = known, waiting
    else:
        caller = _caller(request)
        server.rates.pairing.take(caller)
        secret, pairing = await server.change(lambda: begin_pairing(server.change_engine, caller))
    address = urljoin(str(request.base_url), f"admin/connect/{pairing.code}")
    left = pairing.expires_at - datetime.now(UTC)
    response = JSONResponse(
        {
            "code": shown_code(pairing.code),
            "seconds": max(0, int(left.total_seconds())),
            "address": urljoin(str(request.base_url), "admin/connect"),
            "qr": segno.make_qr(address, error="m").svg_data_uri(border=3, light="#fff"),
        }
    )
    response.set_cookie(
        _COOKIE,
        secret,
        max_age=int(LIFE.total_seconds()),
        path=_PATH,
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return response


async def poll(request: Request) -> Response:
    """Say whether the screen waits, is connected, or needs a new code."""
    secret, pairing, token = await _state(request)
    if pairing is not None:
        return JSONResponse({"state": "waiting"})
    if secret is None or token is None or token.display_id is None:
        return JSONResponse({"state": "expired"})
    response = JSONResponse({"state": "connected", "address": f"{_PATH}/{token.display_id}"})
    keep_on_screen(request, response, player_cookie(token.display_id), secret)
    response.delete_cookie(_COOKIE, path=_PATH)
    return response


async def _state(request: Request) -> tuple[str | None, Pairing | None, Token | None]:
    """The screen's secret, its pairing while it waits, and its token once it is connected."""
    server: ServerState = request.app.state.server
    server.rates.pairing_polls.take(_caller(request))
    secret = next(iter(cookies_named(request.headers, _COOKIE)), None)
    if secret is None:
        return None, None, None
    pairing = await server.run(lambda: find_pairing(server.engine, secret))
    if pairing is not None:
        return secret, pairing, None
    token = await server.run(lambda: find_token(server.engine, secret))
    is_valid = token is not None and token.problem(datetime.now(UTC)) is None
    return secret, None, token if is_valid else None


def _caller(request: Request) -> str:
    return request.client.host if request.client else "?"
