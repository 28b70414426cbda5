"""Liveness, readiness and metrics of one process."""

import asyncio
from typing import Any, Final

import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sorafeed_assets.domain.errors import UnavailableError
from sorafeed_assets.services.watching import Figures, read_figures, recently_failed_runs
from sorafeed_assets.serving.access.access import Principal
from sorafeed_assets.serving.live.connection import lost_connections
from sorafeed_assets.serving.state import ServerState
from sorafeed_assets.storage.postgres.engine import ping

# Prometheus gives a scrape 10 s.
_SCRAPE_SECONDS: Final = 3.0

_log: Final = structlog.get_logger(__name__)


async def healthz(_request: Request) -> Response:
    """Report that the process is alive."""
    return JSONResponse({"status": "ok"})


async def readyz(request: Request) -> Response:
    """Report each dependency: 503 without PostgreSQL, "degraded" without Redis."""
    server: ServerState = request.app.state.server
    postgres, redis = await asyncio.gather(_postgres(server), _redis(server))
    checks: dict[str, Any] = {
        "postgres": postgres,
        "redis": redis,
        "channel": "ok" if server.listener.is_connected else "lost",
        "snapshots": "ok" if server.snapshots_are_current else "old",
        "cache": "warm" if server.is_warm else "cold",
        "background": {
            name: {
                "last_success": state.last_success and state.last_success.isoformat(),
                "failures": state.failures,
            }
            for name, state in server.background.states.items()
        },
    }
    ready = postgres == "ok" and server.is_warm
    status = "ready" if ready else "not ready"
    is_well = redis == "ok" and server.snapshots_are_current and server.background.is_well
    if ready and not is_well:
        status = "degraded"
    return JSONResponse({"status": status, **checks}, status_code=200 if ready else 503)


async def _postgres(server: ServerState) -> str:
    try:
        await asyncio.wait_for(server.run(lambda: ping(server.engine)), 2.0)
    except (UnavailableError, TimeoutError):
        return "does not answer"
    return "ok"


async def _redis(server: ServerState) -> str:
    try:
        with lost_connections():
            await server.async_redis.ping()
    except (RedisError, OSError):
        return "does not answer"
    return "ok"


async def metrics(request: Request) -> Response:
    """Report the metrics for Prometheus, to a reader or an admin."""
    principal: Principal = request.state.principal
    principal.must_read()
    server: ServerState = request.app.state.server
    figures = server.metrics
    figures.cache_hits.set(server.responses.hits)
    figures.cache_misses.set(server.responses.misses)
    figures.pages.set(len(server.hub))
    figures.trusted.set(server.listener.is_connected)
    figures.stored.replica_lag = server.replica.lag
    figures.stored.figures, figures.stored.failed_runs = await asyncio.gather(
        _stored(server), _failed_runs(server)
    )
    return Response(figures.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


async def _stored(server: ServerState) -> Figures | None:
    """The figures of the database; None when it does not answer in time."""
    window, days = server.settings.window, server.settings.shadow_gate_days
    try:
        return await asyncio.wait_for(
            server.run(lambda: read_figures(server.engine, window, days)), _SCRAPE_SECONDS
        )
    except (UnavailableError, TimeoutError):
        return None


async def _failed_runs(server: ServerState) -> int | None:
    """The failed runs; None when Dagster's database is unknown, or does not answer in time."""
    engine = server.dagster_engine
    if engine is None:
        return None
    try:
        return await asyncio.wait_for(
            server.run(lambda: recently_failed_runs(engine)), _SCRAPE_SECONDS
        )
    except (UnavailableError, TimeoutError, SQLAlchemyError) as error:
        # Also a database in which Dagster has not made its tables yet.
        _log.warning("failed runs are unknown", problem=str(error).partition("\n")[0])
        return None
