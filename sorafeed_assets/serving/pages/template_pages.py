"""The page of templates: their blocks as lines of CSV, and the displays that follow them."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from sorafeed_assets.domain.errors import InvalidInputError, SorafeedError, UnavailableError
from sorafeed_assets.domain.playlists.csv_import import parse_playlist_csv
from sorafeed_assets.domain.playlists.files import playlist_csv
from sorafeed_assets.services.many import ManyDisplays
from sorafeed_assets.services.playlists.templates import list_templates
from sorafeed_assets.serving.http.errors import kind_of
from sorafeed_assets.serving.pages.forms import fields_of
from sorafeed_assets.serving.pages.rendering import render
from sorafeed_assets.serving.pages.signing_in import REFERRER, permitted
from sorafeed_assets.serving.state import ServerState
from sorafeed_assets.serving.wording import refusal

_PAGE: Final = "/admin/templates"


async def show(request: Request) -> Response:
    """Every template, by name."""
    principal = permitted(request, _PAGE, changes=True)
    if isinstance(principal, Response):
        return principal
    return await _page(request)


async def act(request: Request) -> Response:
    """Add, edit or delete a template as the form says; an error is shown on the page."""
    principal = permitted(request, _PAGE, changes=True)
    if isinstance(principal, Response):
        return principal
    server: ServerState = request.app.state.server
    fields = await fields_of(request)
    try:
        problems = await server.change(lambda: _act(server.commands.many, fields))
    except UnavailableError:
        raise
    except SorafeedError as error:
        return await _page(request, fields, error)
    return await _page(request, problems=problems) if problems else RedirectResponse(_PAGE, 303)


def _act(many: ManyDisplays, fields: Mapping[str, str]) -> list[str]:
    """Do what a form says; returns the problems of displays."""
    act = fields.get("act", "")
    if act == "add":
        many.create_template(fields.get("name", ""), parse_playlist_csv(fields.get("csv", "")))
        return []
    try:
        template_id = UUID(fields.get("template", ""))
    except ValueError:
        raise InvalidInputError("template", "must be the id of a template") from None
    if act == "edit":
        drafts = parse_playlist_csv(fields.get("csv", ""))
        many.rename_template(template_id, fields.get("name", ""))
        outcomes = many.edit_template(template_id, drafts)
    elif act == "delete":
        outcomes = many.delete_template(template_id)
    else:
        raise InvalidInputError("act", "must be add, edit or delete")
    return [f"{each.display_id}: {each.problem}" for each in outcomes if each.problem]


async def _page(
    request: Request,
    given: Mapping[str, str] | None = None,
    problem: SorafeedError | None = None,
    problems: list[str] | None = None,
) -> Response:
    server: ServerState = request.app.state.server
    templates = await server.run(lambda: list_templates(server.engine))
    body = render(
        "templates.html",
        templates=[(each, playlist_csv(each.blocks)) for each in templates],
        given=given or {},
        problem=refusal(problem) if problem else "",
        problems=problems or [],
        has_old_system=server.has_old_system,
    )
    return HTMLResponse(body, kind_of(problem).status if problem else 200, headers=REFERRER)
