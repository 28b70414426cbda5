"""Running the application on Granian, in this process, until it is told to stop."""

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

_START_SECONDS: Final = 30.0
# Each player keeps a connection open for events and one for calls; granian's own limit is 128.
_CONNECTIONS: Final = 20_000
_WAITING_CONNECTIONS: Final = 1_024
# How long a busy thread may keep the event loop from going on; Python's own 5 ms add up.
_SWITCH_SECONDS: Final = 0.0005
# An answer makes thousands of objects that are gone with it: collecting while it is made is waste.
_OBJECTS_BEFORE_COLLECTION: Final = 20_000


@dataclass(frozen=True, slots=True)
class Listening:
    """Where to listen; with a certificate by TLS, which browsers need for HTTP/2.

    ``routes`` are answered besides the application's own.
    """

    port: int
    host: str = "127.0.0.1"
    certificate: Path | None = None
    key: Path | None = None
    routes: Sequence[BaseRoute] = ()


def log_as_json() -> None:
    """One JSON object a line, with the time and the request's id."""
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
    """Serve until SIGINT or SIGTERM, in a process of its own."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.set_threshold(_OBJECTS_BEFORE_COLLECTION)

    def ready() -> None:
        # What is loaded by now stays: no collection has to look through it.
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
        await _answers(listening, running)
        if not hasattr(app.state, "server"):
            raise SetupError("the API does not start; its log says why")
        on_ready()
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
    finally:
        # Event streams never end by themselves.
        if hasattr(app.state, "server"):
            app.state.server.hub.close()
        server.stop()  # type: ignore[no-untyped-call]  # granian has no types here
        await running


async def _answers(listening: Listening, running: "asyncio.Task[None]") -> None:
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
    """A server in a thread of its own for as long as the block lasts; its address.

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
