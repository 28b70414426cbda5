"""The routes of the admin pages and of the player page, and the parts that pages reload."""

import contextlib
import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from threading import Lock
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

import structlog
from cachetools import LRUCache, cached
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response

from sorafeed_assets.domain.catalog.search import MAX_QUERY_LENGTH, Format
from sorafeed_assets.domain.errors import (
    DisplayNotFoundError,
    NotFoundError,
    PlaylistNotFoundError,
    UnavailableError,
)
from sorafeed_assets.domain.playlists.playlist import MAX_VIDEO_COUNT, FetchMode, check_display_code
from sorafeed_assets.services.attention import Severity, read_known
from sorafeed_assets.services.cache.read import cached_admin_snapshot
from sorafeed_assets.services.counts.jobs import failed_counts
from sorafeed_assets.services.playlists.templates import templates_on
from sorafeed_assets.services.playlists.timetables import timetable_of
from sorafeed_assets.services.shadow.report import shadow_gate, shadow_report
from sorafeed_assets.services.timelines.history import PlayFilter
from sorafeed_assets.services.timelines.remote import read_remote
from sorafeed_assets.services.timelines.views import timeline_views
from sorafeed_assets.services.tokens import Role, tokens_of
from sorafeed_assets.services.unsettled import waiting_displays
from sorafeed_assets.serving.access.access import (
    ADMIN_COOKIE,
    Principal,
    cookies_named,
    player_cookie,
)
from sorafeed_assets.serving.ids import parse_id
from sorafeed_assets.serving.pages import views
from sorafeed_assets.serving.pages.rendering import render
from sorafeed_assets.serving.pages.shadow import DAYS, shadow_view
from sorafeed_assets.serving.pages.signing_in import (
    REFERRER,
    entered,
    keep_on_screen,
    permitted,
    principal_of,
)
from sorafeed_assets.serving.state import CachedResponse, ServerState
from sorafeed_assets.storage.cache.redis import ALERTS_TAG, COUNTS_TAG, DISPLAYS_TAG, display_tag
from sorafeed_assets.storage.dagster_runs import count_failed_runs
from sorafeed_assets.storage.legacy.queues import read_problems
from sorafeed_assets.storage.reactions import percentiles

_MOST_CARDS: Final = 200
# About ten thousand cards.
_CARD_BYTES: Final = 16_000_000
_REACTION_SHARES: Final = (0.5, 0.95)
_AHEAD: Final = 24
_HISTORY: Final = 30
_WORKER: Final = Path(__file__).parent / "static" / "worker.js"
_PLAYER_PRELOADS: Final = (
    "</static/player.css>; rel=preload; as=style, </static/player.js>; rel=modulepreload,"
    " </static/installing.js>; rel=modulepreload, </static/plan.js>; rel=modulepreload,"
    " </static/retry.js>; rel=modulepreload,"
    " </static/shelf.js>; rel=modulepreload, </static/store.js>; rel=modulepreload"
)
# No text of a user or a post has this character.
_CARDS_HERE: Final = "\0"
_DELETIONS: Final = 100
_RUNS_WITHIN: Final = timedelta(days=1)
_LATE: Final = timedelta(minutes=1)
_PRELOADS: Final = (
    "</static/admin.css>; rel=preload; as=style, </static/api.js>; rel=modulepreload,"
    " </static/retry.js>; rel=modulepreload, </static/times.js>; rel=modulepreload,"
    " </static/{}.js>; rel=modulepreload"
)

_log: Final = structlog.get_logger(__name__)


@cached(LRUCache(_CARD_BYTES, sys.getsizeof), lock=Lock())
def _card(card: views.Card) -> bytes:
    """The markup of a card, cached because few of many cards change."""
    return render("card.html", card=card)


def _markup_of(cards: Sequence[views.Card]) -> bytes:
    return b"\n".join([_card(each) for each in cards])


def _overview_body(cards: Sequence[views.Card], **values: object) -> bytes:
    page = render(
        "overview.html",
        cards=_CARDS_HERE if cards else "",
        shown=len(cards),
        online=sum(each.is_online for each in cards),
        troubled=sum(each.severity is not Severity.NONE for each in cards),
        **values,
    )
    # As bytes: a string of a million characters takes four million bytes once one is an emoji.
    return page.replace(_CARDS_HERE.encode(), _markup_of(cards), 1)


def _page(body: bytes, script: str, status: int = 200) -> Response:
    return HTMLResponse(body, status, headers={"link": _PRELOADS.format(script), **REFERRER})


async def home(_request: Request) -> Response:
    """Redirect to the admin page."""
    return RedirectResponse("/admin", 303)


async def overview(request: Request) -> Response:
    """The overview of all displays."""
    link = await entered(request, ADMIN_COOKIE)
    if link is not None:
        return link
    principal = permitted(request, "/admin")
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
    tags.update((DISPLAYS_TAG, COUNTS_TAG, ALERTS_TAG))
    cards = sorted(_read_cards(server, None), key=lambda card: card.order)
    tags.update(display_tag(card.code) for card in cards)
    failed = failed_counts(server.engine)
    late = waiting_displays(server.engine, older_than=_LATE)
    with server.engine.connect() as connection:
        reactions = percentiles(connection, _REACTION_SHARES)
    return _overview_body(
        cards,
        alerts=server.alerts,
        failed_counts=failed,
        late=len(late),
        failed_runs=_failed_runs(server),
        reactions=views.shown_reactions(reactions),
        links=views.dagster_links(server.settings),
        has_old_system=server.has_old_system,
        is_admin=is_admin,
        deletions=[
            each
            for _, each in server.queries.deletions(None, _DELETIONS, None).rows
            if each.playlist_id is None
        ],
        notice=None,
    )


def _failed_runs(server: ServerState) -> int:
    """How many of Dagster's runs failed in the last day; 0 when its database does not answer."""
    if server.dagster_engine is None:
        return 0
    try:
        with server.dagster_engine.connect() as connection:
            return count_failed_runs(connection, _RUNS_WITHIN)
    except SQLAlchemyError as error:
        # The page of the displays must not depend on Dagster.
        _log.warning("dagster does not answer", problem=str(error))
        return 0


def _render_stored_overview(server: ServerState, problem: str) -> bytes:
    snapshot = cached_admin_snapshot(server.redis)
    if snapshot is None:
        raise UnavailableError(problem)
    stored: list[dict[str, Any]] = snapshot.get("displays", [])
    window = server.settings.window
    return _overview_body(
        sorted((views.stored_card(each, window) for each in stored), key=lambda card: card.order),
        alerts=server.alerts,
        failed_counts={},
        late=0,
        failed_runs=0,
        reactions=[],
        links=views.dagster_links(server.settings),
        has_old_system=False,
        is_admin=False,
        deletions=[],
        notice=f"{problem} The page shows the last snapshot.",
    )


async def cards(request: Request) -> Response:
    """The current cards of some displays."""
    server: ServerState = request.app.state.server
    principal_of(request).must_read()
    given = request.query_params.get("ids", "")
    codes = [check_display_code(code, "ids") for code in given.split(",")[:_MOST_CARDS] if code]
    shown = await server.run(lambda: _read_cards(server, codes))
    return HTMLResponse(_markup_of(shown))


def _read_cards(server: ServerState, codes: Collection[str] | None) -> list[views.Card]:
    """The cards of some displays, or of all."""
    found = server.queries.displays(codes)
    known = read_known(server.engine, found, server.flags.at_once(), server.repeats, codes)
    window = server.settings.window
    return [views.card(each, known[each.id], window) for each in found.values()]


async def display(request: Request) -> Response:
    """The page of one display: what plays and why, its playlist, its history."""
    code = check_display_code(request.path_params["code"])
    link = await entered(request, ADMIN_COOKIE)
    if link is not None:
        return link
    principal = permitted(request, f"/admin/displays/{code}", code)
    if isinstance(principal, Response):
        return principal
    opened = request.query_params.get("playlist")
    server: ServerState = request.app.state.server
    values = await _display_values(server, principal, code, request.query_params, opened)
    return _page(render("display.html", **values), "display")


async def parts(request: Request) -> Response:
    """The parts of a display's page that change while it is open."""
    server: ServerState = request.app.state.server
    principal = principal_of(request)
    code = request.path_params["code"]
    values = await _display_values(server, principal, code, request.query_params)
    return HTMLResponse(render("fresh.html", **values))


async def _display_values(
    server: ServerState,
    principal: Principal,
    code: str,
    asked: Mapping[str, str],
    opened: str | None = None,
) -> dict[str, object]:
    check_display_code(code)
    principal.must_read(code)
    playlist = None if opened is None else parse_id(opened, "playlist")
    is_admin = principal.token.role is Role.ADMIN
    wanted = PlayFilter.of_query(asked)
    values = await server.run(
        lambda: _read_display(server, code, playlist, wanted, is_admin=is_admin)
    )
    filters = {name: asked[name] for name in ("since", "until", "block") if asked.get(name)}
    return {
        **values,
        "wanted": wanted,
        "day": asked.get("day", ""),
        "history_query": f"?{urlencode(filters)}" if filters else "",
    }


def _read_display(
    server: ServerState, code: str, opened: UUID | None, wanted: PlayFilter, *, is_admin: bool
) -> dict[str, object]:
    """The values of a display's page, with the ``opened`` playlist, or the active one."""
    reads = server.queries
    record = reads.displays([code]).get(code)
    if record is None:
        raise DisplayNotFoundError(code)
    view = timeline_views(server.engine, [code]).get(code)
    playlists = [each for _, each in reads.playlists_of([code], 50)[code].rows]
    active = record.active_playlist_id
    shown_playlist = next((each for each in playlists if each.id == (opened or active)), None)
    if opened is not None and shown_playlist is None:
        raise PlaylistNotFoundError(opened)
    blocks = reads.blocks([shown_playlist.id])[shown_playlist.id] if shown_playlist else []
    totals = reads.totals({block.term for block in blocks if block.term})
    seen = reads.seen([block.id for block in blocks])
    posts = reads.posts(views.video_ids(view, _AHEAD))
    cards = _read_cards(server, [code])
    if not cards:
        raise DisplayNotFoundError(code)
    shown = cards[0]
    return {
        "display": record,
        "card": shown,
        "remote": read_remote(server.engine, code),
        "templates": templates_on(server.engine, code),
        "has_screen": any(each.revoked_at is None for each in tokens_of(server.engine, code)),
        "problems": shown.problems,
        "now": views.shown_pick(view.now, posts) if view and view.now else None,
        "next": [
            views.shown_pick(pick, posts)
            for pick in (view.ahead[:_AHEAD] if view else [])
            if pick is not (view.now if view else None)
        ],
        "plays": [
            views.shown_play(play) for _, play in reads.plays(code, _HISTORY, None, wanted).rows
        ],
        "active_blocks": reads.blocks([active])[active] if active else [],
        "playlists": playlists,
        "timetable": timetable_of(server.engine, code),
        "active": next((each for each in playlists if each.id == active), None),
        "playlist": shown_playlist,
        "deletions": [each for _, each in reads.deletions(code, 50, None).rows],
        "blocks": views.shown_blocks(blocks, totals, seen, view),
        "links": views.dagster_links(server.settings, code),
        "is_admin": is_admin,
        "has_old_system": server.has_old_system,
        "formats": list(Format),
        "fetch_modes": list(FetchMode),
        "max_count": MAX_VIDEO_COUNT,
        "max_search": MAX_QUERY_LENGTH,
    }


async def shadow(request: Request) -> Response:
    """The page about comparing with the old system."""
    principal = permitted(request, "/admin/shadow")
    if isinstance(principal, Response):
        return principal
    server: ServerState = request.app.state.server
    is_admin = principal.token.role is Role.ADMIN
    body = await server.run(lambda: _render_shadow(server, is_admin=is_admin))
    return HTMLResponse(body, headers={"link": "</static/admin.css>; rel=preload; as=style"})


def _render_shadow(server: ServerState, *, is_admin: bool) -> bytes:
    report = shadow_report(server.engine, DAYS)
    settings = server.settings
    with server.engine.connect() as connection:
        problems = read_problems(connection)
    if not (report.by_day or problems or server.has_old_system):
        raise NotFoundError("no old system is named; set SORAFEED_LEGACY_CATALOG_URL first")
    gate = shadow_gate(server.engine, settings.shadow_gate_days)
    view = shadow_view(report, (gate.is_open, gate.reason), problems)
    links = views.dagster_links(settings)
    return render("shadow.html", view=view, links=links, is_admin=is_admin, has_old_system=True)


async def player(request: Request) -> Response:
    """The player page of a display."""
    code = check_display_code(request.path_params["code"])
    link = await entered(request, player_cookie(code))
    if link is not None:
        return link
    principal = permitted(request, f"/player/{code}", code)
    if isinstance(principal, Response):
        return principal
    server: ServerState = request.app.state.server
    response = HTMLResponse(
        render("player.html", code=code, keys=await _plan_keys(server)),
        headers={"link": _PLAYER_PRELOADS, **REFERRER},
    )
    _renew_cookie(request, response, principal, player_cookie(code))
    return response


def _renew_cookie(request: Request, response: Response, principal: Principal, cookie: str) -> None:
    """Let the cookie of a screen's token start its life again."""
    token = principal.token
    if token.role is not Role.DISPLAY or token.expires_at is not None:
        return
    server: ServerState = request.app.state.server
    for secret in cookies_named(request.headers, cookie):
        _, known = server.tokens.get(secret)
        if known is not None and known.id == token.id:
            keep_on_screen(request, response, cookie, secret)


async def _plan_keys(server: ServerState) -> list[dict[str, str]]:
    """The keys that a player verifies its plans by; without PostgreSQL it uses none."""
    with contextlib.suppress(UnavailableError):
        return await server.run(server.signer.public_keys)
    return []


async def worker(_request: Request) -> Response:
    """The service worker of the players, below whose address are the pages that it serves."""
    # A browser looks for a new version at each start of the page.
    return FileResponse(_WORKER, headers={"cache-control": "no-cache"})
