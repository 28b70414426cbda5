"""The Starlette application: its routes, its middleware and its background work."""

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from granian.utils.proxies import wrap_asgi_with_proxy_headers
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from sorafeed_assets.domain.errors import SorafeedError
from sorafeed_assets.extras import require
from sorafeed_assets.services import idempotency
from sorafeed_assets.services.playlists import deleting
from sorafeed_assets.serving.graphql.late import LateEndpoint
from sorafeed_assets.serving.http import health
from sorafeed_assets.serving.http.compression import CompressionMiddleware
from sorafeed_assets.serving.http.errors import error_response, on_sorafeed_error
from sorafeed_assets.serving.http.middleware import (
    AuthenticationMiddleware,
    BodyLimitMiddleware,
    ForwardedMiddleware,
    RequestMiddleware,
)
from sorafeed_assets.serving.pages import (
    alerts,
    figures,
    flags,
    pairing,
    posts,
    rollouts,
    screens,
    signing_in,
    template_pages,
    timetable,
)
from sorafeed_assets.serving.pages import routes as pages
from sorafeed_assets.serving.players import (
    export,
    guide,
    history,
    plan,
    playlist_files,
    plays,
    remote,
)
from sorafeed_assets.serving.players import routes as players
from sorafeed_assets.serving.state import CHANNEL, ServerState
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.cache.redis import ALERTS_TAG

_CALLS_EVERY: Final = 5.0
_SILENCE: Final = 60.0
_DURATIONS_EVERY: Final = 1.0
_JOBS_EVERY: Final = 1.0
_TOKENS_EVERY: Final = 2.0
# A process hears of a changed flag within a second.
_FLAGS_EVERY: Final = 0.5
_MEMORY_EVERY: Final = 5.0
_KEYS_EVERY: Final = 600.0
_REPLICA_EVERY: Final = 0.5
_REACTIONS_EVERY: Final = 1.0
_TROUBLES_EVERY: Final = 5.0
_ALERTS_EVERY: Final = 15.0
_CHANNEL_EVERY: Final = 0.25
_CHANNEL_SECONDS: Final = 3.0
_WARM_AGAIN: Final = 1.0
# Numba, for the first plan that searches posts which wait to be counted.
_MACHINE_CODE: Final = "sorafeed_assets.domain.catalog.finding"
NOT_FOR_PLAYERS: Final = ("sorafeed_assets.serving.graphql.endpoint", _MACHINE_CODE)
"""The modules that take long to import and that players do not need."""
_NOT_TRACED: Final = "/healthz,/readyz,/metrics,/static/,/events"


def build_app(
    settings: Settings,
    extra_routes: Sequence[BaseRoute] = (),
    on_loaded: Callable[[], None] = lambda: None,
) -> Starlette:
    """Build the application.

    Args:
        settings: where the databases are.
        extra_routes: served before those of the application.
        on_loaded: called in the event loop when what players do not need is imported too.
    """
    graphql = LateEndpoint()

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        server = app.state.server = ServerState(settings)
        start_background(server)
        server.background.until_done(
            "imports", partial(_load_rest, server, graphql, on_loaded), _WARM_AGAIN
        )
        try:
            yield
        finally:
            await server.close()

    app = Starlette(
        routes=[
            *extra_routes,
            # Tried in this order, so what players call most is first.
            Route("/api/displays/{code}/next", players.next_videos),
            Route("/api/displays/{code}/plan", plan.plan),
            Route("/api/displays/{code}/played", plays.played, methods=["POST"]),
            Route("/api/plays", plays.plays, methods=["POST"]),
            Route("/healthz", health.healthz),
            Route("/readyz", health.readyz),
            Route("/metrics", health.metrics),
            Route("/graphql", graphql.answer, methods=["GET", "POST"]),
            Route("/api/displays/{code}/remote", remote.told),
            Route("/api/displays/{code}/remote", remote.report, methods=["POST"]),
            Route("/api/displays/{code}/started", players.started, methods=["POST"]),
            Route("/api/displays/{code}/events", players.events),
            Route("/api/displays/{code}/guide.json", guide.guide_json),
            Route("/api/displays/{code}/guide.xml", guide.guide_xmltv),
            Route("/api/displays/{code}/guide.ics", guide.guide_icalendar),
            Route("/api/displays/{code}/history.csv", history.history_csv),
            Route("/api/events", players.events),
            Route("/api/posts.ndjson", export.export_posts),
            Route("/api/playlists/{playlist_id}.{kind}", playlist_files.playlist_file),
            Route("/api/playlists/{playlist_id}/slots.{kind}", playlist_files.slots_file),
            Route(
                "/api/playlists/{playlist_id}/slots.{kind}",
                playlist_files.replace_slots,
                methods=["PUT"],
            ),
            Route("/", pages.home),
            Route("/admin", pages.overview),
            Route("/admin/", pages.overview),
            Route("/admin/alerts", alerts.firing),
            Route("/admin/cards", pages.cards),
            Route("/admin/enter", signing_in.enter, methods=["POST"]),
            Route("/admin/flags", flags.show),
            Route("/admin/flags", flags.change, methods=["POST"]),
            Route("/admin/figures", figures.show),
            Route("/admin/posts", posts.show),
            Route("/admin/posts", posts.act, methods=["POST"]),
            Route("/admin/posts/exclude", posts.confirm),
            Route("/admin/rollouts", rollouts.show),
            Route("/admin/rollouts", rollouts.act, methods=["POST"]),
            Route("/admin/runbook", alerts.runbook),
            Route("/admin/leave", signing_in.leave, methods=["POST"]),
            Route("/admin/shadow", pages.shadow),
            Route("/admin/templates", template_pages.show),
            Route("/admin/templates", template_pages.act, methods=["POST"]),
            Route("/admin/displays/{code}", pages.display),
            Route("/admin/displays/{code}/", pages.display),
            Route("/admin/displays/{code}/parts", pages.parts),
            Route("/admin/displays/{code}/timetable", timetable.show),
            Route("/admin/displays/{code}/timetable", timetable.change, methods=["POST"]),
            Route("/player/worker.js", pages.worker),
            Route("/admin/connect", screens.connect),
            Route("/admin/connect", screens.enter_code, methods=["POST"]),
            Route("/admin/connect/{code}", screens.connect),
            Route("/admin/displays/{code}/screens", screens.show),
            Route("/admin/displays/{code}/screens", screens.act, methods=["POST"]),
            Route("/player", pairing.show),
            Route("/player/pairing", pairing.poll),
            Route("/player/pairing", pairing.begin, methods=["POST"]),
            Route("/player/{code}", pages.player),
            Route("/player/{code}/", pages.player),
            Mount("/static", StaticFiles(directory=Path(__file__).parent / "pages" / "static")),
        ],
        middleware=[
            *_tracing_middleware(settings),
            *_proxy_middleware(settings.proxies),
            Middleware(RequestMiddleware),
            Middleware(CompressionMiddleware),
            Middleware(BodyLimitMiddleware),
            Middleware(AuthenticationMiddleware),
        ],
        exception_handlers={
            SorafeedError: on_sorafeed_error,
            HTTPException: _on_http_error,
        },
        lifespan=lifespan,
    )
    # Its redirects are made from the Host header, and keep a token that is in the query.
    app.router.redirect_slashes = False
    return app


def _proxy_middleware(proxies: list[str]) -> list[Middleware]:
    if not proxies:
        return []
    return [
        Middleware(ForwardedMiddleware),
        Middleware(wrap_asgi_with_proxy_headers, trusted_hosts=proxies),
    ]


def _tracing_middleware(settings: Settings) -> list[Middleware]:
    """A span for each request, in the trace of its `traceparent`; event streams have none."""
    if settings.otlp_endpoint is None:
        return []
    require("tracing")
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    return [
        Middleware(
            OpenTelemetryMiddleware, excluded_urls=_NOT_TRACED, exclude_spans=["receive", "send"]
        )
    ]


async def _on_http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    code = error.detail.upper().replace(" ", "_")
    return error_response(
        error.status_code,
        code,
        error.detail,
        request.state.request_id,
        headers=error.headers,
        accept=request.headers.get("accept"),
    )


def start_background(server: ServerState) -> None:
    """Start the background work of a process."""
    background = server.background
    background.repeat(CHANNEL, server.listener.listen, _CHANNEL_EVERY, at_once=True)
    background.until_done("cache", partial(_warm, server), _WARM_AGAIN)
    background.repeat("calls", partial(_note_calls, server), _CALLS_EVERY)
    background.repeat("durations", partial(players.store_durations, server), _DURATIONS_EVERY)
    background.repeat("jobs", partial(_count, server), _JOBS_EVERY)
    background.repeat("tokens", server.confirm_tokens, _TOKENS_EVERY)
    background.repeat("flags", server.read_flags, _FLAGS_EVERY)
    background.repeat("memory", server.expire_responses, _MEMORY_EVERY)
    background.repeat("reactions", partial(_store_reactions, server), _REACTIONS_EVERY)
    background.repeat("troubles", partial(_store_troubles, server), _TROUBLES_EVERY)
    if server.alerts.are_asked_for:
        look = partial(_look_at_alerts, server)
        background.repeat("alerts", look, _ALERTS_EVERY, at_once=True)
    if server.settings.database_read_url is not None:
        background.repeat("replica", server.replica.look, _REPLICA_EVERY)
    background.repeat("keys", partial(_expire_rows, server), _KEYS_EVERY)


async def _warm(server: ServerState) -> None:
    """Render the overview before the process reports that it is ready.

    It first waits briefly for the snapshots in Redis to be written again. If that takes longer,
    players are served from PostgreSQL.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CHANNEL_SECONDS):
            while not server.snapshots_are_current:
                await asyncio.sleep(0.02)
    await server.read_flags()
    await server.confirm_tokens()
    for is_admin in (True, False):
        await pages.overview_response(server, is_admin=is_admin)
    server.is_warm = True


async def _load_rest(
    server: ServerState, graphql: LateEndpoint, on_loaded: Callable[[], None]
) -> None:
    """Import what takes long and players do not need, once the process is ready."""
    while not server.is_warm:
        await asyncio.sleep(0.02)
    await graphql.load()
    await asyncio.to_thread(importlib.import_module, _MACHINE_CODE)
    on_loaded()


async def _note_calls(server: ServerState) -> None:
    await players.note_calls(server, _SILENCE)
    await server.change(server.commands.settler.retry_unwritten)


async def _store_reactions(server: ServerState) -> None:
    await server.run_job(lambda: server.reactions.store(server.job_engine))


async def _store_troubles(server: ServerState) -> None:
    await server.run_job(lambda: server.troubles.store(server.job_engine))


async def _look_at_alerts(server: ServerState) -> None:
    # In a thread that no request waits for.
    if await asyncio.to_thread(server.alerts.look):
        server.responses.drop([ALERTS_TAG])
        server.hub.tell([ALERTS_TAG])


async def _expire_rows(server: ServerState) -> None:
    await server.change(lambda: idempotency.expire(server.change_engine))
    await server.change(lambda: deleting.purge(server.change_engine))


async def _count(server: ServerState) -> None:
    await server.run_job(server.job_settler.count_waiting_terms)
    await server.run_job(server.job_settler.retry_unwritten)
