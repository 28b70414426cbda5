"""The admin's pages of screens: connecting one by its code, and the tokens of a display."""

from collections.abc import Mapping
from urllib.parse import urljoin
from uuid import UUID

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from sorafeed_assets.domain.errors import (
    DisplayNotFoundError,
    InvalidInputError,
    SorafeedError,
    UnavailableError,
)
from sorafeed_assets.domain.pairing import parse_code, shown_code
from sorafeed_assets.domain.playlists.playlist import check_display_code
from sorafeed_assets.services.playlists.displays import list_displays
from sorafeed_assets.services.tokens import create_screen_link, tokens_of
from sorafeed_assets.serving.http.errors import kind_of
from sorafeed_assets.serving.pages.forms import fields_of
from sorafeed_assets.serving.pages.rendering import render
from sorafeed_assets.serving.pages.signing_in import REFERRER, permitted
from sorafeed_assets.serving.state import ServerState
from sorafeed_assets.serving.wording import refusal


async def connect(request: Request) -> Response:
    """The form to enter a screen's code, and to choose or add its display."""
    given = request.path_params.get("code", "")
    principal = permitted(request, f"/admin/connect/{given}".rstrip("/"), changes=True)
    if isinstance(principal, Response):
        return principal
    return await _connect_page(request, {"code": _tidied(given)})


async def enter_code(request: Request) -> Response:
    """Connect a screen as the form says; an error is shown on the page."""
    principal = permitted(request, "/admin/connect", changes=True)
    if isinstance(principal, Response):
        return principal
    server: ServerState = request.app.state.server
    fields = await fields_of(request)
    try:
        server.rates.pairing_tries.take(principal.token.id)
        display_id = _display_in(fields)
        connected = await server.change(
            lambda: server.commands.connect_screen(
                fields.get("code", ""), display_id=display_id, name=fields.get("name")
            )
        )
    except UnavailableError:
        raise
    except SorafeedError as error:
        return await _connect_page(request, fields, error)
    return RedirectResponse(f"/admin/displays/{connected.display_id}/screens", 303)


def _display_in(fields: Mapping[str, str]) -> str | None:
    """The chosen display; None for a new one.

    Raises:
        InvalidInputError: neither or both were given.
    """
    code = fields.get("display", "").partition(" ")[0].upper()
    if code and fields.get("name"):
        raise InvalidInputError("display", "is chosen and a new one is named; leave one empty")
    if not code and not fields.get("name"):
        raise InvalidInputError("display", "is missing; choose one, or name a new one")
    return code or None


def _tidied(given: str) -> str:
    try:
        return shown_code(parse_code(given))
    except InvalidInputError:
        return given[:20]


async def _connect_page(
    request: Request, fields: Mapping[str, str], problem: SorafeedError | None = None
) -> Response:
    server: ServerState = request.app.state.server
    displays = await server.run(lambda: list_displays(server.engine))
    body = render(
        "connect.html",
        displays=displays,
        given={name: fields.get(name, "") for name in ("code", "display", "name")},
        problem=refusal(problem) if problem else None,
        address=urljoin(str(request.base_url), "player"),
        has_old_system=server.has_old_system,
    )
    return HTMLResponse(body, kind_of(problem).status if problem else 200, headers=REFERRER)


async def show(request: Request) -> Response:
    """The tokens of a display's screens, and the link to copy."""
    code = check_display_code(request.path_params["code"])
    principal = permitted(request, f"/admin/displays/{code}/screens", changes=True)
    if isinstance(principal, Response):
        return principal
    return await _screens_page(request, code)


async def act(request: Request) -> Response:
    """Create a link with a token of its own, which is shown once, or revoke a token."""
    code = check_display_code(request.path_params["code"])
    principal = permitted(request, f"/admin/displays/{code}/screens", changes=True)
    if isinstance(principal, Response):
        return principal
    server: ServerState = request.app.state.server
    fields = await fields_of(request)
    try:
        if fields.get("act") == "link":
            name = fields.get("name") or "link"
            secret = await server.change(
                lambda: create_screen_link(server.change_engine, code, name)
            )
            link = urljoin(str(request.base_url), f"player/{code}?token={secret}")
            return await _screens_page(request, code, link=link)
        if fields.get("act") != "revoke":
            raise InvalidInputError("act", "must be link or revoke")
        token_id = _token_in(fields)
        await server.change(lambda: server.commands.revoke_screen(code, token_id))
    except UnavailableError:
        raise
    except SorafeedError as error:
        return await _screens_page(request, code, problem=error)
    return RedirectResponse(f"/admin/displays/{code}/screens", 303)


def _token_in(fields: Mapping[str, str]) -> UUID:
    try:
        return UUID(fields.get("token", ""))
    except ValueError:
        raise InvalidInputError("token", "must be the id of a token") from None


async def _screens_page(
    request: Request, code: str, *, link: str | None = None, problem: SorafeedError | None = None
) -> Response:
    server: ServerState = request.app.state.server
    record = (await server.run(lambda: server.queries.displays([code]))).get(code)
    if record is None:
        raise DisplayNotFoundError(code)
    tokens = await server.run(lambda: tokens_of(server.engine, code))
    body = render(
        "screens.html",
        display=record,
        valid=[each for each in reversed(tokens) if each.revoked_at is None],
        revoked=[each for each in reversed(tokens) if each.revoked_at is not None],
        link=link,
        problem=refusal(problem) if problem else None,
        address=urljoin(str(request.base_url), "player"),
        has_old_system=server.has_old_system,
    )
    return HTMLResponse(body, kind_of(problem).status if problem else 200, headers=REFERRER)
