"""Running the application on Granian, in this process, until it is stopped."""

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, Final

import orjson
import structlog
import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.server.embed import Server
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.serving.app import build_app
from sorafeed_assets.settings import Settings
from sorafeed_assets.tracing import start_tracing

_START_SECONDS: Final = 30.0
# A player holds one connection for events and one for calls; Granian's own limit is 128.
_CONNECTIONS: Final = 20_000
_WAITING_CONNECTIONS: Final = 1_024
# How long a busy thread may hold the GIL; Python's default of 5 ms would delay answers.
_SWITCH_SECONDS: Final = 0.0005
# An answer allocates thousands of short-lived objects, which need no collection.
_OBJECTS_BEFORE_COLLECTION: Final = 20_000


@dataclass(frozen=True, slots=True)
class Listening:
    """Where to listen.

    Attributes:
        port: the TCP port.
        host: the address.
        certificate: the TLS certificate, which browsers need for HTTP/2.
        key: the certificate's key.
        routes: served in addition to those of the application.
    """

    port: int
    host: str = "127.0.0.1"
    certificate: Path | None = None
    key: Path | None = None
    routes: Sequence[BaseRoute] = ()


def log_as_json() -> None:
    """Log one JSON object a line, with the time and the request's id."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(orjson.dumps),
        ],
        logger_factory=structlog.BytesLoggerFactory(),
        cache_logger_on_first_use=True,
    )


def serve(settings: Settings, listening: Listening, on_ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM. The server takes over the process."""
    start_tracing(settings, "sorafeed-api")
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTION)

    def ready() -> None:
        # Objects loaded so far are permanent, so garbage collections need not scan them.
        gc.collect()
        gc.freeze()
        on_ready()

    async def run() -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await _serve(build_app(settings, listening.routes), listening, ready, stop)

    _run(run())


def _run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


async def _serve(
    app: Starlette, listening: Listening, on_ready: Callable[[], None], stop: asyncio.Event
) -> None:
    server = Server(
        app,
        address=listening.host,
        port=listening.port,
        interface=Interfaces.ASGI,
        http=HTTPModes.auto,
        websockets=False,
        backlog=_WAITING_CONNECTIONS,
        backpressure=_CONNECTIONS,
        ssl_cert=listening.certificate,
        ssl_key=listening.key,
        log_enabled=False,
    )
    running = asyncio.create_task(server.serve())
    try:
        await _wait_until_listening(listening, running)
        if not hasattr(app.state, "server"):
            raise SetupError("the API does not start; see its log")
        on_ready()
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
    finally:
        # Event streams do not end by themselves.
        if hasattr(app.state, "server"):
            app.state.server.hub.close()
        server.stop()  # type: ignore[no-untyped-call]  # granian is untyped here
        await running


async def _wait_until_listening(listening: Listening, running: "asyncio.Task[None]") -> None:
    async with asyncio.timeout(_START_SECONDS):
        while True:
            if running.done():
                running.result()
                raise SetupError(f"the API does not start on port {listening.port}; is it taken?")
            with contextlib.suppress(OSError):
                _reader, writer = await asyncio.open_connection(listening.host, listening.port)
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
                return
            await asyncio.sleep(0.02)


@contextlib.contextmanager
def serving(settings: Settings, listening: Listening) -> Iterator[str]:
    """Run a server in a thread for as long as the block lasts; yields its address.

    Raises:
        SetupError: it does not start.
    """
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def run() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        app = build_app(settings, listening.routes)
        await _serve(app, listening, lambda: started.set_result((loop, stop)), stop)

    def work() -> None:
        try:
            _run(run())
        except SetupError as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = Thread(target=work, name="sorafeed-api")
    thread.start()
    try:
        loop, stop = started.result(_START_SECONDS)
        try:
            scheme = "http" if listening.certificate is None else "https"
            yield f"{scheme}://{listening.host}:{listening.port}"
        finally:
            loop.call_soon_threadsafe(stop.set)
    finally:
        thread.join(_START_SECONDS)
