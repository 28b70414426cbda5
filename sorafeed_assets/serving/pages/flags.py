"""The page of the flags: what they are, why a display has a value, who changed them, and a form."""

from collections.abc import Sequence
from typing import Final

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from sorafeed_assets.domain.errors import SorafeedError
from sorafeed_assets.domain.playlists.playlist import check_display_code
from sorafeed_assets.services.flags import FlagChange, Reason
from sorafeed_assets.serving.http.errors import kind_of
from sorafeed_assets.serving.pages.forms import fields_of, percent_of
from sorafeed_assets.serving.pages.rendering import render
from sorafeed_assets.serving.pages.signing_in import permitted
from sorafeed_assets.serving.state import ServerState
from sorafeed_assets.serving.wording import refusal

_PAGE: Final = "/admin/flags"
_HISTORY: Final = 50
_FIELDS: Final = ("flag", "value", "share", "displays", "why")


async def show(request: Request) -> Response:
    """Every flag, the last changes, and the values of the display that the query names."""
    principal = permitted(request, _PAGE, changes=True)
    if isinstance(principal, Response):
        return principal
    server: ServerState = request.app.state.server
    code = request.query_params.get("display", "").strip().upper()
    try:
        reasons = await server.run(lambda: _reasons(server, code)) if code else []
    except SorafeedError as error:
        return await _page(server, problem=refusal(error), status=kind_of(error).status)
    return await _page(server, code=code, reasons=reasons)


async def change(request: Request) -> Response:
    """Change a flag as the form says; an error is shown on the page."""
    principal = permitted(request, _PAGE, changes=True)
    if isinstance(principal, Response):
        return principal
    server: ServerState = request.app.state.server
    fields = await fields_of(request)
    by = f"{principal.token.name} (admin page)"
    try:
        await server.change(lambda: _change(server, fields, by))
    except SorafeedError as error:
        return await _page(server, problem=refusal(error), fields=fields, status=400)
    return RedirectResponse(_PAGE, 303)


def _change(server: ServerState, fields: dict[str, str], by: str) -> FlagChange:
    flag, value, why = (fields.get(name, "") for name in ("flag", "value", "why"))
    displays = fields.get("displays", "").replace(",", " ").upper().split()
    with server.change_engine.begin() as connection:
        if displays:
            return server.flags.set_displays(connection, flag, displays, value, by=by, why=why)
        if share := fields.get("share", ""):
            return server.flags.set_share(
                connection, flag, percent_of(share), value=value, by=by, why=why
            )
        return server.flags.set_all(connection, flag, value, by=by, why=why)


def _reasons(server: ServerState, code: str) -> list[Reason]:
    check_display_code(code, "display")
    shown = server.flags.at_once().shown(beside=server.settings.follows_legacy)
    return [server.flags.why(flag.key, code) for flag in shown]


async def _page(
    server: ServerState,
    *,
    code: str = "",
    reasons: Sequence[Reason] = (),
    problem: str | None = None,
    fields: dict[str, str] | None = None,
    status: int = 200,
) -> Response:
    values = await server.run(lambda: _read(server))
    filled = {**dict.fromkeys(_FIELDS, ""), **(fields or {})}
    body = render(
        "flags.html",
        code=code,
        reasons=reasons,
        problem=problem,
        fields=filled,
        has_old_system=server.has_old_system,
        **values,
    )
    return HTMLResponse(body, status)


def _read(server: ServerState) -> dict[str, object]:
    with server.engine.connect() as connection:
        values = server.flags.at(connection)
        history = server.flags.history(connection, most=_HISTORY)
    return {
        "flags": [
            (flag, values.summary(flag.key), values.definition_version(flag.key))
            for flag in values.shown(beside=server.settings.follows_legacy)
        ],
        "history": [(each, _json(each.before), _json(each.after)) for each in history],
    }


def _json(definition: object) -> str:
    return (
        "" if definition is None else orjson.dumps(definition, option=orjson.OPT_INDENT_2).decode()
    )
