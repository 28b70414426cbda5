"""HTTP calls as a player makes them: repeated until they are answered, and counted."""

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_HEAD_END: Final = b"\r\n\r\n"
# A player that waits longer for an attempt would not notice that a process hangs.
READ_SECONDS: Final = 0.4
CHANGE_SECONDS: Final = 3.0
PATIENCE: Final = 10.0
"""A call that has no answer after this many seconds is counted as unanswered."""
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0
_SLOW_SECONDS: Final = 0.2
_FAILED: Final = 500
_TOO_MANY: Final = 429
INTERNAL: Final = 500


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its status, the ETag, and the JSON of its body."""

    status: int
    etag: str
    body: Any


@dataclass(slots=True)
class Count:
    """The calls of one kind: attempts and calls, how many were answered, and the slow ones.

    Attributes:
        statuses: answers by status; 0 stands for none.
        slow: when slow calls began and were answered, in monotonic seconds.
        last: when the last call was answered.
    """

    attempts: int = 0
    attempts_answered: int = 0
    calls: int = 0
    calls_answered: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    slow: list[tuple[float, float]] = field(default_factory=list)
    last: float = 0.0

    @property
    def longest(self) -> float:
        """Seconds of the longest call; 0 if none was slow."""
        return max((ended - began for began, ended in self.slow), default=0.0)

    def attempted(self, status: int) -> bool:
        """Count an attempt; whether it was answered."""
        is_answer = 0 < status < _FAILED and status != _TOO_MANY
        self.attempts += 1
        self.attempts_answered += is_answer
        self.statuses[status] += 1
        return is_answer

    def called(self, started: float, *, answered: bool) -> None:
        """Count a call."""
        ended = time.monotonic()
        self.calls += 1
        self.calls_answered += answered
        if answered:
            self.last = ended
        if ended - started >= _SLOW_SECONDS:
            self.slow.append((started, ended))


class Client:
    """One client with one connection at a time, opened again after any failure."""

    def __init__(self, port: int, token: str, rng: random.Random) -> None:
        self._port = port
        self._token = token
        self._rng = rng
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def call(
        self,
        count: Count,
        target: str,
        body: Mapping[str, Any] | None = None,
        *,
        seconds: float = READ_SECONDS,
        headers: Mapping[str, str] | None = None,
    ) -> Reply | None:
        """Repeat a request, at once and then after growing pauses; None when it stays unanswered.

        The first attempt may take ``seconds``, each further one twice as long: a busy server would
        otherwise do its work in vain.
        """
        started = time.monotonic()
        pause = 0.0
        while True:
            reply = await self._attempt(target, body, seconds, headers or {})
            if count.attempted(0 if reply is None else reply.status):
                count.called(started, answered=True)
                return reply
            if time.monotonic() - started > PATIENCE:
                count.called(started, answered=False)
                return None
            await asyncio.sleep(self._rng.uniform(0.0, pause))
            seconds = min(2 * seconds, max(seconds, CHANGE_SECONDS))
            pause = min(_LONGEST_PAUSE, max(_FIRST_PAUSE, 2 * pause))

    async def close(self) -> None:
        """Close the connection."""
        writer, self._reader, self._writer = self._writer, None, None
        if writer is not None:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _attempt(
        self,
        target: str,
        body: Mapping[str, Any] | None,
        seconds: float,
        headers: Mapping[str, str],
    ) -> Reply | None:
        try:
            async with asyncio.timeout(seconds):
                if self._reader is None or self._writer is None:
                    self._reader, self._writer = await asyncio.open_connection(
                        "127.0.0.1", self._port
                    )
                self._writer.write(self._request(target, body, headers))
                return await _reply(self._reader)
        except (OSError, EOFError, ValueError, asyncio.LimitOverrunError):
            # The answer of an attempt that took too long must not be read by the next one.
            await self.close()
            return None

    def _request(
        self, target: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]
    ) -> bytes:
        content = b"" if body is None else json.dumps(body).encode()
        lines = [
            f"{'GET' if body is None else 'POST'} {target} HTTP/1.1",
            "host: 127.0.0.1",
            "accept-encoding: identity",
            f"authorization: Bearer {self._token}",
            *(f"{name}: {value}" for name, value in headers.items()),
        ]
        if body is not None:
            lines += ["content-type: application/json", f"content-length: {len(content)}"]
        return "\r\n".join(lines).encode() + _HEAD_END + content


async def _reply(reader: asyncio.StreamReader) -> Reply:
    head = (await reader.readuntil(_HEAD_END)).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    length = int(fields.get("content-length", 0))
    content = await reader.readexactly(length) if length else b""
    return Reply(
        int(first.split()[1]), fields.get("etag", ""), json.loads(content) if content else None
    )
