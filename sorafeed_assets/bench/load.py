"""Calls over HTTP: as many as come back, or at a pace, each timed from when it was due."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import aiohttp

from sorafeed_assets.bench.measuring import WrongResultError

_CLIENTS: Final = 8
_TIMEOUT: Final = aiohttp.ClientTimeout(total=60)

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Call:
    """One request; a POST when it has a body, which is JSON."""

    url: str
    token: str | None = None
    body: bytes | None = None


def closed_loop(call: Call, seconds: float) -> float:
    """Answers a second to clients that each send the next request when they have an answer."""

    async def work(session: aiohttp.ClientSession) -> float:
        await _send(session, call)
        started = time.perf_counter()
        end = started + seconds

        async def client() -> int:
            answered = 0
            while time.perf_counter() < end:
                await _send(session, call)
                answered += 1
            return answered

        answered = sum(await asyncio.gather(*(client() for _ in range(_CLIENTS))))
        return answered / (time.perf_counter() - started)

    return asyncio.run(_with_session(work))


def at_pace(calls: Sequence[Call], rate: float, seconds: float) -> list[float]:
    """Seconds that each answer took from when its request was due; ``rate`` requests a second.

    The calls take turns. A slow answer makes no later request wait, so nothing hides behind it.
    """

    async def work(session: aiohttp.ClientSession) -> list[float]:
        started = time.perf_counter()

        async def one(number: int) -> float:
            due = started + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await _send(session, calls[number % len(calls)])
            return time.perf_counter() - due

        return list(await asyncio.gather(*(one(n) for n in range(round(rate * seconds)))))

    return asyncio.run(_with_session(work, len(calls)))


async def _with_session(
    work: Callable[[aiohttp.ClientSession], Awaitable[_Result]], connections: int = _CLIENTS
) -> _Result:
    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT) as session:
        return await work(session)


async def _send(session: aiohttp.ClientSession, call: Call) -> bytes:
    headers = {"accept-encoding": "identity"}
    if call.token is not None:
        headers["authorization"] = f"Bearer {call.token}"
    if call.body is not None:
        headers["content-type"] = "application/json"
    method = "GET" if call.body is None else "POST"
    async with session.request(method, call.url, data=call.body, headers=headers) as response:
        body = await response.read()
        if response.status != 200:
            raise WrongResultError(f"{call.url} answers {response.status}: {body[:200]!r}")
        return body


def answer_of(call: Call) -> bytes:
    """The body of one answer."""
    return asyncio.run(_with_session(lambda session: _send(session, call)))
