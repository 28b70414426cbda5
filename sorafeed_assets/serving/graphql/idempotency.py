"""Mutations with an `Idempotency-Key` header: executed once, however often they are sent.

Keys are stored, so that all processes answer a repeat alike; see `services.idempotency`.
"""

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Final, NamedTuple

import structlog

from sorafeed_assets.domain.errors import (
    BusyError,
    InvalidInputError,
    UnavailableError,
)
from sorafeed_assets.services import idempotency
from sorafeed_assets.services.idempotency import Claim, Key
from sorafeed_assets.serving.access.access import Principal
from sorafeed_assets.serving.graphql.execution import (
    Executed,
    Request,
    digest,
    encoded,
)
from sorafeed_assets.serving.http.errors import (
    KeyReusedError,
    OutcomeUnknownError,
    StillRunningError,
)
from sorafeed_assets.serving.state import ServerState

HEADER: Final = "Idempotency-Key"
_KEY: Final = re.compile(r"[!-~](?:[ -~]{0,253}[!-~])?", re.ASCII)
# After its server ended, a request counts as abandoned when this time has passed.
_LEASE_SECONDS: Final = 30.0
_PROLONG_SECONDS: Final = 5.0
_WAIT_SECONDS: Final = 15.0
_POLL_SECONDS: Final = 0.1

_log: Final = structlog.get_logger(__name__)


class Answered(NamedTuple):
    """The answer to a mutation as JSON, and whether it was given before."""

    body: bytes
    is_replayed: bool


def check_key(header: str) -> str:
    """Check the key of a request.

    Raises:
        InvalidInputError: it is empty, too long, or has other than visible ASCII characters.
    """
    if not _KEY.fullmatch(header):
        raise InvalidInputError(HEADER, "must be 1 to 255 visible ASCII characters, such as a UUID")
    return header


async def execute_once(
    server: ServerState,
    principal: Principal,
    key: str,
    asked: Request,
    execute: Callable[[], Coroutine[Any, Any, Executed]],
) -> Answered:
    """Execute a mutation, or return the answer that is stored for its key.

    Raises:
        KeyReusedError: the key was used for another request.
        StillRunningError: the first request runs longer than a repeat waits.
        OutcomeUnknownError: the server of the first request ended before it answered.
        UnavailableError: PostgreSQL does not answer; nothing was executed.
    """
    of_token = (principal.token.id, key)
    digest = _digest(asked)
    claim = await _claimed(server, of_token, digest)
    if claim.digest != digest:
        raise KeyReusedError(HEADER, "was used for another request; use another key")
    if claim.answer is not None:
        return Answered(claim.answer.encode(), is_replayed=True)
    if claim.is_new:
        return await _execute(server, of_token, execute)
    if claim.is_running:
        raise StillRunningError(
            "the first request with this key is still being executed; send it again in a moment"
        )
    raise OutcomeUnknownError(
        "the server ended while it executed this request: read the stored state, and send it again"
        " with another key if it is still needed"
    )


async def _claimed(server: ServerState, key: Key, digest: str) -> Claim:
    """Claim a key; while another request holds it, wait for that request's answer."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        claim = await server.change(
            lambda: idempotency.claim(server.change_engine, key, digest, _LEASE_SECONDS)
        )
        is_held = claim.is_running and not claim.is_new and claim.answer is None
        if not is_held or claim.digest != digest or time.monotonic() >= deadline:
            return claim
        await asyncio.sleep(_POLL_SECONDS)


async def _execute(
    server: ServerState, key: Key, execute: Callable[[], Coroutine[Any, Any, Executed]]
) -> Answered:
    engine = server.change_engine
    async with _prolonged(server, key):
        executed = await execute()
    body = encoded(executed.body)
    try:
        if executed.has_changed or not _was_unavailable(executed):
            await server.change(lambda: idempotency.finish(engine, key, body.decode()))
        elif all(isinstance(error, BusyError) for error in executed.failures):
            await server.change(lambda: idempotency.release(engine, key))
        else:
            await server.change(lambda: idempotency.abandon(engine, key))
    except UnavailableError as error:
        # This client gets the answer; a repeat will get the error that the outcome is unknown.
        _log.warning("the answer to a mutation is not stored", problem=str(error))
    return Answered(body, is_replayed=False)


def _was_unavailable(executed: Executed) -> bool:
    return any(isinstance(error, UnavailableError) for error in executed.failures)


@contextlib.asynccontextmanager
async def _prolonged(server: ServerState, key: Key) -> AsyncIterator[None]:
    """Hold a key for as long as the block lasts."""

    async def prolong() -> None:
        while True:
            await asyncio.sleep(_PROLONG_SECONDS)
            with contextlib.suppress(UnavailableError):
                await server.change(
                    lambda: idempotency.prolong(server.change_engine, key, _LEASE_SECONDS)
                )

    task = asyncio.create_task(prolong())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _digest(asked: Request) -> str:
    return digest([asked.query, asked.operation_name, asked.variables])
