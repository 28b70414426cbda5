"""The page Posts: find posts by words, see which displays play them, exclude and allow them."""

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from sorafeed_assets.domain.catalog.blocklist import MAX_NOTE, Target, check_target
from sorafeed_assets.domain.errors import InvalidInputError, SorafeedError, UnavailableError
from sorafeed_assets.services.many import Outcome
from sorafeed_assets.services.timelines.excluding import concerned_displays, describe
from sorafeed_assets.services.timelines.found_posts import MOST, FoundPost, find_posts
from sorafeed_assets.services.tokens import Role
from sorafeed_assets.serving.access.access import Principal
from sorafeed_assets.serving.http.errors import kind_of
from sorafeed_assets.serving.pages.forms import fields_of
from sorafeed_assets.serving.pages.rendering import render
from sorafeed_assets.serving.pages.signing_in import REFERRER, permitted
from sorafeed_assets.serving.state import ServerState

_PAGE: Final = "/admin/posts"
# Displays named for a search; the number of the others follows.
_NAMED: Final = 8
# Entries of the blocklist on a page.
_LISTED: Final = 50


async def show(request: Request) -> Response:
    """The form, what was found by the words of the address, and the blocklist."""
    principal = permitted(request, _PAGE)
    if isinstance(principal, Response):
        return principal
    return await _page(request, principal, request.query_params)


async def confirm(request: Request) -> Response:
    """Ask whether a post or creator is to be excluded: which displays that concerns, and why."""
    principal = permitted(request, _PAGE, changes=True)
    if isinstance(principal, Response):
        return principal
    server: ServerState = request.app.state.server
    asked = request.query_params
    try:
        target = check_target(asked.get("kind", ""), asked.get("id", ""))
        displays = await server.run(lambda: concerned_displays(server.engine, target))
        described = await server.run(lambda: describe(server.engine, target))
    except UnavailableError:
        raise
    except SorafeedError as error:
        return await _page(request, principal, asked, refused=error)
    return HTMLResponse(
        render(
            "exclude.html",
            target=target,
            described=described,
            displays=displays,
            words=asked.get("words", ""),
            named=_NAMED,
            max_note=MAX_NOTE,
            has_old_system=server.has_old_system,
        ),
        headers=REFERRER,
    )


async def act(request: Request) -> Response:
    """Exclude or allow as the form says; an error is shown on the page."""
    principal = permitted(request, _PAGE, changes=True)
    if isinstance(principal, Response):
        return principal
    server: ServerState = request.app.state.server
    fields = await fields_of(request)
    by = f"{principal.token.name} (admin page)"
    try:
        target = check_target(fields.get("kind", ""), fields.get("id", ""))
        outcomes = await server.change(lambda: _act(server, target, fields, by))
    except UnavailableError:
        raise
    except SorafeedError as error:
        return await _page(request, principal, fields, refused=error)
    problems = [f"{each.display_id}: {each.problem}" for each in outcomes if each.problem]
    if problems:
        return await _page(request, principal, fields, problems=problems)
    words = fields.get("words", "")
    query = f"?{urlencode({'words': words})}" if words else ""
    return RedirectResponse(f"{_PAGE}{query}", 303)


def _act(server: ServerState, target: Target, fields: Mapping[str, str], by: str) -> list[Outcome]:
    """Do what a form says; returns what came of it by display."""
    many = server.commands.many
    match fields.get("act"):
        case "exclude":
            return many.exclude(target, by=by, note=fields.get("note", ""))[1]
        case "allow":
            many.allow(target)
            return []
        case _:
            raise InvalidInputError("act", "must be exclude or allow")


async def _page(
    request: Request,
    principal: Principal,
    asked: Mapping[str, str],
    *,
    refused: SorafeedError | None = None,
    problems: Sequence[str] = (),
) -> Response:
    server: ServerState = request.app.state.server
    words = asked.get("words", "").strip()
    found: list[FoundPost] = []
    problem, status = "", kind_of(refused).status if refused else 200
    if words:
        try:
            found = await server.run(lambda: find_posts(server.engine, words))
        except InvalidInputError as error:
            problem, status = error.problem, 400
    entries = await server.run(lambda: server.queries.blocklist(_LISTED, asked.get("after")))
    body = render(
        "posts.html",
        words=words,
        found=found,
        problem=problem,
        refused=refused,
        problems=problems,
        most=MOST,
        named=_NAMED,
        entries=[each for _, each in entries.rows],
        next_page=entries.rows[-1][0] if entries.has_next else None,
        is_admin=principal.token.role is Role.ADMIN,
        has_old_system=server.has_old_system,
    )
    return HTMLResponse(body, status, headers=REFERRER)
