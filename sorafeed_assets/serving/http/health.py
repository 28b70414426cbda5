"""Whether this process lives, is ready, and how it is doing."""

import asyncio
from typing import Any

from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sorafeed_assets.domain.errors import UnavailableError
from sorafeed_assets.services.counts.jobs import failed_counts
from sorafeed_assets.services.timelines.queues import queue_status
from sorafeed_assets.serving.access.access import Principal
from sorafeed_assets.serving.runtime import Runtime
from sorafeed_assets.storage.postgres.engine import ping


async def healthz(_request: Request) -> Response:
    """The process answers."""
    return JSONResponse({"status": "ok"})


async def readyz(request: Request) -> Response:
    """Each dependency by name. Without Redis all is slower; without Postgres nothing changes."""
    runtime: Runtime = request.app.state.runtime
    postgres, redis = await asyncio.gather(_postgres(runtime), _redis(runtime))
    checks: dict[str, Any] = {
        "postgres": postgres,
        "redis": redis,
        "channel": "ok" if runtime.listener.is_connected else "lost",
        "snapshots": "ok" if runtime.snapshots_are_current else "old",
        "cache": "warm" if runtime.is_warm else "cold",
        "background": {
            name: {
                "last_success": state.last_success and state.last_success.isoformat(),
                "failures": state.failures,
            }
            for name, state in runtime.background.states.items()
        },
    }
    ready = postgres == "ok" and runtime.is_warm
    status = "ready" if ready else "not ready"
    is_well = redis == "ok" and runtime.snapshots_are_current and runtime.background.is_well
    if ready and not is_well:
        status = "degraded"
    return JSONResponse({"status": status, **checks}, status_code=200 if ready else 503)


async def _postgres(runtime: Runtime) -> str:
    try:
        await asyncio.wait_for(runtime.run(lambda: ping(runtime.engine)), 2.0)
    except (UnavailableError, TimeoutError):
        return "does not answer"
    return "ok"


async def _redis(runtime: Runtime) -> str:
    try:
        await runtime.async_redis.ping()
    except (RedisError, OSError):
        return "does not answer"
    return "ok"


async def metrics(request: Request) -> Response:
    """The figures for Prometheus; for a reader's or an admin's token."""
    principal: Principal = request.state.principal
    principal.must_read()
    runtime: Runtime = request.app.state.runtime
    figures = runtime.metrics
    figures.cache_hits.set(runtime.answers.hits)
    figures.cache_misses.set(runtime.answers.misses)
    figures.pages.set(len(runtime.hub))
    figures.trusted.set(runtime.listener.is_connected)
    try:
        window = runtime.settings.window
        queues = await runtime.run(lambda: queue_status(runtime.engine, window))
        failed = await runtime.run(lambda: failed_counts(runtime.engine))
    except UnavailableError:
        figures.displays.clear()
    else:
        figures.jobs_failed.set(len(failed))
        for name in ("complete", "low", "dry"):
            figures.displays.labels(name).set(getattr(queues, name))
    return Response(figures.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
