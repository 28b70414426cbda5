"""The application: its routes, what every request goes through, and its background work."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
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
from sorafeed_assets.services import idempotency
from sorafeed_assets.serving.graphql.endpoint import Endpoint
from sorafeed_assets.serving.http import health
from sorafeed_assets.serving.http.compression import Compression
from sorafeed_assets.serving.http.errors import on_sorafeed_error, refusal
from sorafeed_assets.serving.http.middleware import Access, BodyLimit, Requests
from sorafeed_assets.serving.pages import routes as pages
from sorafeed_assets.serving.players import export
from sorafeed_assets.serving.players import routes as players
from sorafeed_assets.serving.runtime import CHANNEL, Runtime
from sorafeed_assets.settings import Settings

_CALLS_EVERY: Final = 5.0
_SILENCE: Final = 60.0
_JOBS_EVERY: Final = 1.0
_TOKENS_EVERY: Final = 2.0
_MEMORY_EVERY: Final = 5.0
_KEYS_EVERY: Final = 600.0
_CHANNEL_EVERY: Final = 0.25
_CHANNEL_SECONDS: Final = 3.0
_WARM_AGAIN: Final = 1.0


def build_app(settings: Settings, extra_routes: Sequence[BaseRoute] = ()) -> Starlette:
    """The API, the players' side and the admin page on the servers of ``settings``."""

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        runtime = app.state.runtime = Runtime(settings)
        start_background(runtime)
        try:
            yield
        finally:
            await runtime.close()

    return Starlette(
        routes=[
            *extra_routes,
            Route("/healthz", health.healthz),
            Route("/readyz", health.readyz),
            Route("/metrics", health.metrics),
            Route("/graphql", Endpoint().answer, methods=["GET", "POST"]),
            Route("/api/displays/{code}/next", players.next_videos),
            Route("/api/displays/{code}/played", players.played, methods=["POST"]),
            Route("/api/displays/{code}/started", players.started, methods=["POST"]),
            Route("/api/displays/{code}/events", players.events),
            Route("/api/events", players.events),
            Route("/api/posts.ndjson", export.export_posts),
            Route("/", pages.home),
            Route("/admin", pages.wall),
            Route("/admin/cards", pages.cards),
            Route("/admin/enter", pages.enter, methods=["POST"]),
            Route("/admin/leave", pages.leave, methods=["POST"]),
            Route("/admin/displays/{code}", pages.display),
            Route("/admin/displays/{code}/parts", pages.parts),
            Route("/player/{code}", pages.player),
            Mount("/static", StaticFiles(directory=Path(__file__).parent / "pages" / "static")),
        ],
        middleware=[
            Middleware(wrap_asgi_with_proxy_headers, trusted_hosts=settings.proxies),
            Middleware(Requests),
            Middleware(Compression),
            Middleware(BodyLimit),
            Middleware(Access),
        ],
        exception_handlers={
            SorafeedError: on_sorafeed_error,
            HTTPException: _on_http_error,
        },
        lifespan=lifespan,
    )


async def _on_http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    code = error.detail.upper().replace(" ", "_")
    return refusal(
        error.status_code, code, error.detail, request.state.request_id, headers=error.headers
    )


def start_background(runtime: Runtime) -> None:
    """Start what a process does besides answering."""
    background = runtime.background
    background.repeat(CHANNEL, runtime.listener.listen, _CHANNEL_EVERY)
    background.until_done("cache", partial(_warm, runtime), _WARM_AGAIN)
    background.repeat("calls", partial(_note_calls, runtime), _CALLS_EVERY)
    background.repeat("jobs", partial(_count, runtime), _JOBS_EVERY)
    background.repeat("tokens", runtime.confirm_tokens, _TOKENS_EVERY)
    background.repeat("memory", runtime.expire_answers, _MEMORY_EVERY)
    background.repeat("keys", partial(_expire_keys, runtime), _KEYS_EVERY)


async def _warm(runtime: Runtime) -> None:
    """Have the heaviest read in memory before the process says that it is ready.

    Redis is written anew too; should that take longer, players read PostgreSQL meanwhile.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CHANNEL_SECONDS):
            while not runtime.snapshots_are_current:
                await asyncio.sleep(0.02)
    await runtime.confirm_tokens()
    for is_admin in (True, False):
        await pages.wall_answer(runtime, is_admin=is_admin)
    runtime.is_warm = True


async def _note_calls(runtime: Runtime) -> None:
    await players.note_calls(runtime, _SILENCE)
    await runtime.change(runtime.commands.settler.retry_unwritten)


async def _expire_keys(runtime: Runtime) -> None:
    await runtime.change(lambda: idempotency.expire(runtime.change_engine))


async def _count(runtime: Runtime) -> None:
    await runtime.run_job(runtime.job_settler.count_waiting_terms)
    await runtime.run_job(runtime.job_settler.retry_unwritten)
