"""The routes of the admin pages and of the player page, and the parts that pages reload."""

import re
import sys
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, Final
from urllib.parse import parse_qs

from cachetools import LRUCache, cached
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from sorafeed_assets.domain.catalog.search import MAX_QUERY_LENGTH, Format
from sorafeed_assets.domain.errors import DisplayNotFoundError, UnavailableError
from sorafeed_assets.domain.playlists.playlist import MAX_VIDEO_COUNT, FetchMode, check_display_code
from sorafeed_assets.services.cache.read import cached_admin_snapshot
from sorafeed_assets.services.counts.jobs import failed_counts
from sorafeed_assets.services.timelines.queues import stale_displays, timeline_views
from sorafeed_assets.services.tokens import Role, find_token, find_tokens
from sorafeed_assets.serving.access.access import (
    ADMIN_COOKIE,
    Principal,
    checked,
    cookies_named,
    is_from_elsewhere,
    is_same_origin,
    player_cookie,
)
from sorafeed_assets.serving.http.errors import (
    ForbiddenError,
    TooManyCallsError,
    UnauthenticatedError,
    kind_of,
)
from sorafeed_assets.serving.pages import views
from sorafeed_assets.serving.state import CachedResponse, ServerState
from sorafeed_assets.storage.cache.redis import COUNTS_TAG, DISPLAYS_TAG, display_tag
from sorafeed_assets.storage.reactions import percentiles

# Without a referrer, browsers do not name the origin of a form on plain http.
_REFERRER: Final = {"referrer-policy": "same-origin"}
_TARGET: Final = re.compile(r"/(?:admin(?:/[\w/-]*)?|player/[A-Z0-9]{6})", re.ASCII)
_OF_DISPLAY: Final = re.compile(r"/(?:player|admin/displays)/([A-Z0-9]{6})", re.ASCII)
_FOLDER: Final = Path(__file__).parent
_MOST_CARDS: Final = 200
# About ten thousand cards.
_CARD_BYTES: Final = 16_000_000
_REACTION_SHARES: Final = (0.5, 0.95)
_AHEAD: Final = 24
_HISTORY: Final = 30
_WEEK: Final = 7 * 86_400
_PRELOADS: Final = (
    "</static/admin.css>; rel=preload; as=style, </static/api.js>; rel=modulepreload,"
    " </static/{}.js>; rel=modulepreload"
)


@cache
def _templates() -> Environment:
    # Every template escapes, because text of posts and users is never markup.
    environment = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters["moment"] = _moment
    environment.filters["number"] = lambda number: f"{number:,}"
    return environment


def _moment(moment: datetime) -> str:
    return f"{moment:%d %b %Y, %H:%M} UTC"


def _render(template: str, **values: object) -> bytes:
    return _templates().get_template(template).render(**values).encode("utf-8", "replace")


@cached(LRUCache(_CARD_BYTES, sys.getsizeof), lock=Lock())
def _card(card: views.Card) -> str:
    """The markup of a card, cached because few of many cards change."""
    return _templates().get_template("card.html").render(card=card)


def _markup_of(cards: Sequence[views.Card]) -> Markup:
    return Markup("\n".join([_card(each) for each in cards]))  # noqa: S704  # escaped by the template


def _overview_body(cards: Sequence[views.Card], **values: object) -> bytes:
    return _render(
        "overview.html",
        cards=_markup_of(cards),
        shown=len(cards),
        online=sum(each.is_online for each in cards),
        troubled=sum(bool(each.problems) for each in cards),
        **values,
    )


def _page(body: bytes, script: str, status: int = 200) -> Response:
    return HTMLResponse(body, status, headers={"link": _PRELOADS.format(script), **_REFERRER})


async def home(_request: Request) -> Response:
    """Redirect to the admin page."""
    return RedirectResponse("/admin", 303)


async def overview(request: Request) -> Response:
    """The overview of all displays."""
    entered = await _entered(request, ADMIN_COOKIE)
    if entered is not None:
        return entered
    principal = _permitted(request, "/admin")
    if isinstance(principal, Response):
        return principal
    server: ServerState = request.app.state.server
    try:
        answer = await overview_response(server, is_admin=principal.token.role is Role.ADMIN)
    except UnavailableError as error:
        problem = str(error)
        body = await server.run(lambda: _render_stored_overview(server, problem))
        return _page(body, "overview")
    return _page(answer.body, "overview")


async def overview_response(server: ServerState, *, is_admin: bool) -> CachedResponse:
    """The overview page, from the response cache or rendered.

    Raises:
        UnavailableError: PostgreSQL does not answer, is busy, or takes too long.
    """

    async def compute(tags: set[str]) -> CachedResponse:
        return CachedResponse(
            await server.run(lambda: _render_overview(server, tags, is_admin=is_admin))
        )

    return await server.responses.get(f"page:overview:{is_admin}", compute)


def _render_overview(server: ServerState, tags: set[str], *, is_admin: bool) -> bytes:
    tags.update((DISPLAYS_TAG, COUNTS_TAG))
    cards = _read_cards(server, None)
    tags.update(display_tag(card.code) for card in cards)
    failed = failed_counts(server.engine)
    with server.engine.connect() as connection:
        reactions = percentiles(connection, _REACTION_SHARES)
    return _overview_body(
        cards,
        failed_counts=failed,
        reactions=views.shown_reactions(reactions),
        links=views.dagster_links(server.settings),
        is_admin=is_admin,
        notice=None,
    )


def _render_stored_overview(server: ServerState, problem: str) -> bytes:
    snapshot = cached_admin_snapshot(server.redis)
    if snapshot is None:
        raise UnavailableError(problem)
    stored: list[dict[str, Any]] = snapshot.get("displays", [])
    window = server.settings.window
    return _overview_body(
        [views.stored_card(each, window) for each in stored],
        failed_counts={},
        reactions=[],
        links=views.dagster_links(server.settings),
        is_admin=False,
        notice=f"{problem} The page shows the last snapshot.",
    )


async def cards(request: Request) -> Response:
    """The current cards of some displays."""
    server, principal = _asked(request)
    if principal is None:
        raise UnauthenticatedError("sign in again")
    principal.must_read()
    given = request.query_params.get("ids", "")
    codes = [check_display_code(code, "ids") for code in given.split(",")[:_MOST_CARDS] if code]
    shown = await server.run(lambda: _read_cards(server, codes))
    return HTMLResponse(_markup_of(shown))


def _read_cards(server: ServerState, codes: Collection[str] | None) -> list[views.Card]:
    """The cards of some displays, or of all."""
    stale = stale_displays(server.engine, codes)
    found = server.queries.displays(codes)
    window = server.settings.window
    return [views.card(each, window, is_stale=each.id in stale) for each in found.values()]


async def display(request: Request) -> Response:
    """The page of one display: what plays and why, its playlist, its history."""
    code = check_display_code(request.path_params["code"])
    entered = await _entered(request, ADMIN_COOKIE)
    if entered is not None:
        return entered
    principal = _permitted(request, f"/admin/displays/{code}", code)
    if isinstance(principal, Response):
        return principal
    values = await _display_values(request.app.state.server, principal, code)
    return _page(_render("display.html", **values), "display")


async def parts(request: Request) -> Response:
    """The parts of a display's page that change while it is open."""
    server, principal = _asked(request)
    if principal is None:
        raise UnauthenticatedError("sign in again")
    values = await _display_values(server, principal, request.path_params["code"])
    return HTMLResponse(_render("fresh.html", **values))


async def _display_values(
    server: ServerState, principal: Principal, code: str
) -> dict[str, object]:
    check_display_code(code)
    principal.must_read(code)
    return await server.run(
        lambda: _read_display(server, code, is_admin=principal.token.role is Role.ADMIN)
    )


def _read_display(server: ServerState, code: str, *, is_admin: bool) -> dict[str, object]:
    reads = server.queries
    record = reads.displays([code]).get(code)
    if record is None:
        raise DisplayNotFoundError(code)
    view = timeline_views(server.engine, [code]).get(code)
    playlists = [each for _, each in reads.playlists_of([code], 50)[code].rows]
    active = record.active_playlist_id
    blocks = reads.blocks([active])[active] if active else []
    totals = reads.totals({block.term for block in blocks if block.term})
    seen = reads.seen([block.id for block in blocks])
    posts = reads.posts(views.video_ids(view, _AHEAD))
    is_stale = code in stale_displays(server.engine, [code])
    shown = views.card(record, server.settings.window, is_stale=is_stale)
    return {
        "display": record,
        "card": shown,
        "problems": shown.problems,
        "now": views.shown_pick(view.now, posts) if view and view.now else None,
        "next": [
            views.shown_pick(pick, posts)
            for pick in (views.ahead(view)[:_AHEAD] if view else [])
            if pick is not (view.now if view else None)
        ],
        "plays": [play for _, play in reads.plays(code, _HISTORY, None).rows],
        "playlists": playlists,
        "playlist": next((each for each in playlists if each.id == active), None),
        "blocks": views.shown_blocks(blocks, totals, seen, view),
        "links": views.dagster_links(server.settings, code),
        "is_admin": is_admin,
        "formats": list(Format),
        "fetch_modes": list(FetchMode),
        "max_count": MAX_VIDEO_COUNT,
        "max_search": MAX_QUERY_LENGTH,
    }


async def player(request: Request) -> Response:
    """The player page of a display."""
    code = check_display_code(request.path_params["code"])
    entered = await _entered(request, player_cookie(code))
    if entered is not None:
        return entered
    principal = _permitted(request, f"/player/{code}", code)
    if isinstance(principal, Response):
        return principal
    preloads = "</static/player.css>; rel=preload; as=style, </static/player.js>; rel=modulepreload"
    return HTMLResponse(_render("player.html", code=code), headers={"link": preloads, **_REFERRER})


async def enter(request: Request) -> Response:
    """Sign in: store a valid token in a cookie."""
    if not is_same_origin(request.headers):
        raise ForbiddenError("another site's page sent this; sign in on this site's page")
    fields = parse_qs((await request.body()).decode("utf-8", "replace"))
    secret = fields.get("token", [""])[0].strip()
    target = fields.get("next", ["/admin"])[0]
    if not _TARGET.fullmatch(target):
        target = "/admin"
    name = ADMIN_COOKIE
    if target.startswith("/player/"):
        name = player_cookie(target.removeprefix("/player/"))
    return await _keep(request, secret, name, target)


async def leave(request: Request) -> Response:
    """Sign out."""
    if not is_same_origin(request.headers):
        raise ForbiddenError("another site's page sent this; sign out on this site's page")
    response = RedirectResponse("/admin", 303)
    response.delete_cookie(ADMIN_COOKIE)
    return response


async def _entered(request: Request, cookie: str) -> Response | None:
    """Handle a link with a token: store it in a cookie and redirect to the plain address.

    A link on another site's page, and one that would replace a valid token, has to be confirmed.
    """
    path: str = request.scope["path"]
    target = path.rstrip("/")
    secret = request.query_params.get("token")
    if secret is None:
        return None if path == target else RedirectResponse(target, 308)
    if is_from_elsewhere(request.headers) or await _replaces(request, secret, cookie):
        return _sign_in(target, secret=secret, status=200)
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
        server.unauthenticated_rates.take(request.client.host if request.client else "?")
        token = checked(await server.run(lambda: find_token(server.engine, secret)))
        found = _OF_DISPLAY.match(target)
        Principal(token, by_cookie=True).must_read(found and found[1])
    except (UnauthenticatedError, ForbiddenError, TooManyCallsError) as error:
        return _sign_in(target, str(error), status=kind_of(error).status)
    response = RedirectResponse(target, 303)
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


def _sign_in(
    target: str, problem: str | None = None, *, secret: str | None = None, status: int = 401
) -> Response:
    """The form to sign in with a token; ``secret`` is that of a link to confirm."""
    body = _render("sign_in.html", target=target, problem=problem, secret=secret)
    return HTMLResponse(body, status, headers=_REFERRER)


def _permitted(
    request: Request, target: str, display_id: str | None = None
) -> Principal | Response:
    """The principal who may read a page, or the form to sign in with another token."""
    principal: Principal | None = request.state.principal
    if principal is None:
        return _sign_in(target)
    try:
        principal.must_read(display_id)
    except ForbiddenError as error:
        return _sign_in(target, str(error), status=kind_of(error).status)
    return principal


def _asked(request: Request) -> tuple[ServerState, Principal | None]:
    return request.app.state.server, request.state.principal
