"""Calls are repeated until they are answered, and each attempt is counted."""

import asyncio
import random
from collections.abc import Sequence

import pytest

from sorafeed_assets.chaos import http_client
from sorafeed_assets.chaos.http_client import Client, Count, Reply


def _call(
    answers: Sequence[bytes | None], count: Count, *, seconds: float = 5.0
) -> tuple[Reply | None, list[bytes]]:
    """One call to a server that gives these answers in turn; None hangs. The requests it got."""
    requests: list[bytes] = []
    left = list(answers)
    handlers: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.append(task)
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            requests.append(head)
            answer = left.pop(0) if len(left) > 1 else left[0]
            if answer == b"":
                break
            if answer is not None:
                writer.write(answer)
        writer.close()
        await writer.wait_closed()

    async def work() -> Reply | None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        client = Client(port, "secret", random.Random(1))  # noqa: S311  # pauses
        try:
            return await client.call(count, "/api", seconds=seconds)
        finally:
            await client.close()
            server.close()
            await asyncio.gather(*handlers)

    return asyncio.run(work()), requests


_OK = b'HTTP/1.1 200 OK\r\netag: "x"\r\ncontent-length: 2\r\n\r\n{}'
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
_GONE = b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}"


def test_a_call_is_repeated_until_it_is_answered() -> None:
    count = Count()
    # A closed connection, then a server that cannot answer, then an answer.
    reply, requests = _call([b"", _BUSY, _OK], count)
    assert reply == Reply(200, '"x"', {})
    assert len(requests) == 3
    assert b"authorization: Bearer secret" in requests[0]
    assert (count.calls, count.calls_answered) == (1, 1)
    assert (count.attempts, count.attempts_answered) == (3, 1)
    assert count.statuses == {0: 1, 503: 1, 200: 1}


def test_a_refusal_is_an_answer() -> None:
    count = Count()
    reply, requests = _call([_GONE], count)
    assert reply is not None
    assert reply.status == 404
    assert len(requests) == 1
    assert count.attempts_answered == 1


def test_a_server_that_hangs_is_left_for_another_connection() -> None:
    count = Count()
    reply, requests = _call([None, _OK], count, seconds=0.5)
    assert reply is not None
    assert len(requests) == 2
    assert count.statuses == {0: 1, 200: 1}


def test_a_call_without_an_answer_in_time_is_unanswered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "PATIENCE", 0.3)
    count = Count()
    reply, _ = _call([_BUSY], count)
    assert reply is None
    assert (count.calls, count.calls_answered) == (1, 0)
