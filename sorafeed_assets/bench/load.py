"""A load generator for HTTP: closed loops, or requests at a pace timed from when they were due."""

import asyncio
import gc
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from sorafeed_assets.bench.measuring import WrongResultError

_CLIENTS: Final = 8
_TIMEOUT_SECONDS: Final = 60.0
_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_OK: Final = b"HTTP/1.1 200"

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Call:
    """One request; a POST when it has a body, which is JSON."""

    url: str
    token: str | None = None
    body: bytes | None = None

    def request(self) -> bytes:
        """The bytes of the request."""
        parts = urlsplit(self.url)
        target = f"{parts.path or '/'}?{parts.query}".removesuffix("?")
        lines = [
            f"{'GET' if self.body is None else 'POST'} {target} HTTP/1.1",
            f"host: {parts.netloc}",
            "accept-encoding: identity",
        ]
        if self.token is not None:
            lines.append(f"authorization: Bearer {self.token}")
        if self.body is not None:
            lines += ["content-type: application/json", f"content-length: {len(self.body)}"]
        return "\r\n".join(lines).encode() + _HEAD_END + (self.body or b"")


class Connection(asyncio.Protocol):
    """A persistent connection: one request at a time, others wait in a queue.

    A full HTTP client takes as long for a request as the server, and shares its cores.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[bytes, asyncio.Future[bytes]]] = deque()
        self._received = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"a connection is lost: {exc or 'the server closed it'}")

    def data_received(self, data: bytes) -> None:
        self._received += data
        head = self._received.find(_HEAD_END)
        if head < 0:
            return
        length = _LENGTH.search(self._received, 0, head)
        if length is None or not self._received.startswith(_OK):
            self._fail(f"the answer is {bytes(self._received[:500])!r}")
            return
        start = head + len(_HEAD_END)
        if len(self._received) < start + int(length[1]):
            return
        body = bytes(self._received[start:])
        self._received.clear()
        self._waiting.popleft()[1].set_result(body)
        self._send()

    def answer(self, request: bytes) -> "asyncio.Future[bytes]":
        """Send a request; the future gets the body of its answer."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        if len(self._waiting) == 1:
            self._send()
        return future

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def _send(self) -> None:
        if self._waiting and self._transport is not None:
            self._transport.write(self._waiting[0][0])

    def _fail(self, problem: str) -> None:
        for request, future in self._waiting:
            if not future.done():
                line = request.partition(b"\r\n")[0].decode()
                future.set_exception(WrongResultError(f"{line}: {problem}"))


def closed_loop(call: Call, seconds: float) -> float:
    """Answers a second to clients that each send the next request after an answer."""

    async def work() -> float:
        request = call.request()
        async with connected([call] * _CLIENTS) as connections:
            await connections[0].answer(request)
            started = time.perf_counter()
            end = started + seconds

            async def client(connection: Connection) -> int:
                answered = 0
                while time.perf_counter() < end:
                    await connection.answer(request)
                    answered += 1
                return answered

            answered = sum(await asyncio.gather(*map(client, connections)))
            return answered / (time.perf_counter() - started)

    return in_time_limit(work(), seconds)


def at_pace(calls: Sequence[Call], rate: float, seconds: float) -> list[float]:
    """Seconds that each answer took from when its request was due; ``rate`` requests a second.

    The calls take turns, each on a connection of its own. A slow answer delays no request of
    another connection. An untimed round opens the connections.
    """

    async def work() -> list[float]:
        async with connected(calls) as connections:
            requests = [call.request() for call in calls]
            await _paced(connections, requests, rate, len(calls))
            gc.freeze()
            return await _paced(connections, requests, rate, round(rate * seconds))

    return in_time_limit(work(), len(calls) / rate + seconds)


async def _paced(
    connections: Sequence[Connection], requests: Sequence[bytes], rate: float, count: int
) -> list[float]:
    taken = [0.0] * count
    answers = []
    started = time.perf_counter()
    for number in range(count):
        due = started + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        turn = number % len(connections)
        answers.append(_timed(connections[turn].answer(requests[turn]), taken, number, due))
    await asyncio.gather(*answers)
    return taken


def _timed(
    answer: "asyncio.Future[bytes]", taken: list[float], number: int, due: float
) -> "asyncio.Future[bytes]":
    def note(_answer: object) -> None:
        taken[number] = time.perf_counter() - due

    answer.add_done_callback(note)
    return answer


def answer_of(call: Call) -> bytes:
    """The body of one answer."""

    async def work() -> bytes:
        async with connected([call]) as (connection,):
            return await connection.answer(call.request())

    return in_time_limit(work(), 0.0)


@asynccontextmanager
async def connected(calls: Sequence[Call]) -> AsyncIterator[list[Connection]]:
    """A connection for each call."""
    loop = asyncio.get_running_loop()
    connections = []
    try:
        for call in calls:
            parts = urlsplit(call.url)
            host, port = parts.hostname or "", parts.port or 80
            _, connection = await loop.create_connection(Connection, host, port)
            connections.append(connection)
        yield connections
    finally:
        for connection in connections:
            connection.close()


def in_time_limit(work: Coroutine[Any, Any, _Result], seconds: float) -> _Result:
    async def in_time() -> _Result:
        async with asyncio.timeout(seconds + _TIMEOUT_SECONDS):
            return await work

    return asyncio.run(in_time())
