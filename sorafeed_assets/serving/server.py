"""Running the application on Granian, in this process, until it is stopped."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, Final

import orjson
import psutil
import structlog
import uvloop
from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
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
# A client that sends its headers byte by byte holds a connection no longer.
_HEADER_SECONDS: Final = 30.0
# Requests that have not ended so long after a stop are cut.
_STOP_SECONDS: Final = 10.0
_END_SECONDS: Final = 60.0
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
        socket: the file descriptor of a socket that listens there already, which other processes
            of the API may share: a connection waits in it until one of them accepts it.
    """

    port: int
    host: str = "127.0.0.1"
    certificate: Path | None = None
    key: Path | None = None
    routes: Sequence[BaseRoute] = ()
    socket: int | None = None


class _Server(Server):
    """Granian on a socket that this process was given, if it was given one."""

    def __init__(self, app: Starlette, given: int | None, **options: Any) -> None:
        super().__init__(app, **options)
        self._given = given

    def _init_shared_socket(self) -> None:
        if self._given is None:
            super()._init_shared_socket()  # type: ignore[no-untyped-call]  # granian is untyped here
        else:
            self._shd = SocketHolder(self._given, False, _WAITING_CONNECTIONS)  # type: ignore[call-arg, assignment]  # not of its stub


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
        gc.freeze()
        gc.enable()
        on_ready()

    async def run() -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        # What is imported later is permanent too.
        app = build_app(settings, listening.routes, on_loaded=gc.freeze)
        await _serve(app, listening, ready, stop)

    _run(run())


def _run(work: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


async def _serve(
    app: Starlette, listening: Listening, on_ready: Callable[[], None], stop: asyncio.Event
) -> None:
    server = _Server(
        app,
        listening.socket,
        address=listening.host,
        port=listening.port,
        interface=Interfaces.ASGI,
        http=HTTPModes.auto,
        http1_settings=HTTP1Settings(header_read_timeout=int(_HEADER_SECONDS * 1_000)),
        websockets=False,
        backlog=_WAITING_CONNECTIONS,
        backpressure=_CONNECTIONS,
        ssl_cert=listening.certificate,
        ssl_key=listening.key,
        log_enabled=False,
    )
    running = asyncio.create_task(server.serve())
    try:
        await _wait_until_started(app, listening, running)
        on_ready()
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
    finally:
        if hasattr(app.state, "server"):
            app.state.server.stop()
        server.stop()  # type: ignore[no-untyped-call]  # granian is untyped here
        _done, unfinished = await asyncio.wait({running}, timeout=_STOP_SECONDS)
        if unfinished:
            _disconnect_all(listening.port)
        await running


def _disconnect_all(port: int) -> None:
    """End the connections to ``port``: the server waits for clients that do not read."""
    for connection in psutil.Process().net_connections("tcp"):
        if connection.laddr.port == port and connection.status != psutil.CONN_LISTEN:
            # One that has just ended by itself is no error.
            with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fd)) as ended:
                ended.shutdown(socket.SHUT_RDWR)


async def _wait_until_started(
    app: Starlette, listening: Listening, running: "asyncio.Task[None]"
) -> None:
    """Wait until the application is started and this process listens.

    At a given socket connections are accepted before that, by the system or another process.
    """
    async with asyncio.timeout(_START_SECONDS):
        while not (hasattr(app.state, "server") and await _listens(listening)):
            if running.done():
                running.result()
                raise SetupError(f"the API does not start on port {listening.port}; is it taken?")
            await asyncio.sleep(0.02)


async def _listens(listening: Listening) -> bool:
    if listening.socket is not None:
        return True
    try:
        _reader, writer = await asyncio.open_connection(listening.host, listening.port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


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
        thread.join(_END_SECONDS)
        if thread.is_alive():
            raise SetupError(f"the API does not end; it was stopped {_END_SECONDS:g} s ago")
