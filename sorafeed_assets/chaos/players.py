"""Players of a wall: each plays its display's queue, and tells its plays until they are answered.

They do what the player's page does: plays wait in an outbox and are sent in their order, a video
that was played is not played again, and without a server a player continues with what it has.
"""

import asyncio
import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sorafeed_assets.chaos.http_client import CHANGE_SECONDS, Client, Count, Reply

_NOTHING_SECONDS: Final = 0.2
_AT_ONCE: Final = 100
_OK: Final = 200
_BUSY: Final = 500
_REFUSED: Final = frozenset({401, 403})


@dataclass(slots=True)
class Told:
    """What the players asked and told, and how that was answered.

    Attributes:
        reads: calls for what is next.
        plays: calls that tell plays.
        sent: every entry that was told, whatever the answer.
        acknowledged: entries whose play was answered as recorded, with their display.
        refused: entries that an edit had removed from the queue before they were told.
        waiting: plays in the outboxes.
    """

    reads: Count = field(default_factory=Count)
    plays: Count = field(default_factory=Count)
    sent: set[str] = field(default_factory=set)
    acknowledged: dict[str, str] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    waiting: int = 0


class Player:
    """One player.

    Args:
        display: its code.
        port: where the servers listen.
        token: the display's.
        told: where it notes what it did.
        seconds: how long a video is, on average.
        rng: chooses the length of each video.
    """

    def __init__(
        self,
        display: str,
        port: int,
        token: str,
        told: Told,
        *,
        seconds: float,
        rng: random.Random,
    ) -> None:
        self._display = display
        # Two connections, as a browser opens, so that a play that waits delays no read.
        self._reads = Client(port, token, rng)
        self._plays = Client(port, token, rng)
        self._told = told
        self._seconds = seconds
        self._rng = rng
        self._base = f"/api/displays/{display}"
        self._etag = ""
        self._queue: list[str] = []
        self._done: set[str] = set()
        self._outbox: deque[str] = deque()
        self._has_plays = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Play until ``stop``, then send what is in the outbox."""
        telling = asyncio.create_task(self._tell(stop))
        await asyncio.sleep(self._rng.uniform(0.0, self._seconds))
        reader = asyncio.create_task(self._read())
        await reader
        while not stop.is_set():
            entry = next((each for each in self._queue if each not in self._done), None)
            if reader.done():
                reader = asyncio.create_task(self._read())
            if entry is None:
                await reader
                await asyncio.sleep(_NOTHING_SECONDS)
                continue
            await asyncio.sleep(self._seconds * self._rng.uniform(0.5, 1.5))
            if stop.is_set():
                break  # it was not shown to its end, and may be told by nobody any more
            self._done.add(entry)
            self._outbox.append(entry)
            self._told.waiting += 1
            self._has_plays.set()
        self._has_plays.set()
        await reader
        await telling
        await self._reads.close()
        await self._plays.close()

    async def _read(self) -> None:
        headers = {"if-none-match": self._etag} if self._etag else {}
        target = f"{self._base}/next?count=5"
        reply = await self._reads.call(self._told.reads, target, headers=headers)
        if reply is not None and reply.status == _OK:
            self._etag = reply.etag
            self._queue = [video["entry"] for video in reply.body["videos"]]
            self._done &= {*self._queue, *self._outbox}

    async def _tell(self, stop: asyncio.Event) -> None:
        while not stop.is_set() or self._outbox:
            await self._has_plays.wait()
            self._has_plays.clear()
            while self._outbox:
                await self._tell_some(list(self._outbox)[:_AT_ONCE])

    async def _tell_some(self, entries: list[str]) -> None:
        self._told.sent.update(entries)
        if len(entries) == 1:
            reply = await self._call(f"{self._base}/played", {"entry": entries[0]})
            answers = [] if reply is None else [reply.status]
        else:
            plays = [{"display": self._display, "entry": entry} for entry in entries]
            reply = await self._call(f"/api/plays?display={self._display}", {"plays": plays})
            answers = _statuses(reply)
        for entry, status in zip(entries, answers, strict=False):
            if status >= _BUSY or status in _REFUSED:
                break
            self._outbox.popleft()
            self._told.waiting -= 1
            if status == _OK:
                self._told.acknowledged[entry] = self._display
            else:
                self._told.refused.add(entry)

    async def _call(self, target: str, body: Mapping[str, Any]) -> Reply | None:
        return await self._plays.call(self._told.plays, target, body, seconds=CHANGE_SECONDS)


def _statuses(reply: Reply | None) -> list[int]:
    if reply is None or reply.status != _OK:
        return []
    told: list[Mapping[str, Any]] = reply.body["plays"]
    return [int(each["status"]) for each in told]


async def play(
    port: int,
    tokens: Mapping[str, str],
    told: Told,
    stop: asyncio.Event,
    *,
    seconds: float,
    seed: int,
) -> None:
    """Run a player for each display until ``stop``; ``tokens`` are theirs."""
    async with asyncio.TaskGroup() as group:
        for number, (display, token) in enumerate(sorted(tokens.items())):
            rng = random.Random(seed * 100_003 + number)  # noqa: S311  # lengths of videos
            player = Player(display, port, token, told, seconds=seconds, rng=rng)
            group.create_task(player.run(stop))
