"""Players under load: without pause, at a pace, and many plays in one call."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sorafeed_assets.bench.load import Call, Connection, connected, in_time_limit
from sorafeed_assets.bench.measuring import WrongResultError
from sorafeed_assets.domain.batches import batched


@dataclass(frozen=True, slots=True)
class Players:
    """Players of displays on one server; ``token`` is a reader's."""

    url: str
    token: str
    displays: Sequence[str]

    def next_call(self, display: str) -> bytes:
        """The request for what a display plays next."""
        return Call(f"{self.url}/api/displays/{display}/next?count=3", self.token).request()

    def played_call(self, display: str, entry: str) -> bytes:
        """The request that reports a play."""
        body = json.dumps({"entry": entry}).encode()
        return Call(f"{self.url}/api/displays/{display}/played", self.token, body).request()

    def plays_call(self, plays: Sequence[tuple[str, str]]) -> bytes:
        """The request that reports plays of many displays."""
        told = [{"display": display, "entry": entry} for display, entry in plays]
        body = json.dumps({"plays": told}).encode()
        return Call(f"{self.url}/api/plays", self.token, body).request()


@dataclass(slots=True)
class Played:
    """The entries whose plays were acknowledged, the seconds of each answer, and in total."""

    entries: list[str] = field(default_factory=list)
    taken: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def per_play(self) -> float:
        """Seconds for each play."""
        return self.seconds / len(self.entries)


def play_without_pause(players: Players, seconds: float) -> Played:
    """Each player reads the next video, reports its play, and repeats."""

    async def player(connection: Connection, display: str, end: float, played: Played) -> None:
        while time.perf_counter() < end:
            videos = json.loads(await connection.answer(players.next_call(display)))["videos"]
            if not videos:
                raise WrongResultError(f"display {display} has nothing to play")
            started = time.perf_counter()
            await connection.answer(players.played_call(display, videos[0]["entry"]))
            played.taken.append(time.perf_counter() - started)
            played.entries.append(videos[0]["entry"])

    async def work(connections: Sequence[Connection]) -> Played:
        played = Played()
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for connection, display in zip(connections, players.displays, strict=True):
                group.create_task(player(connection, display, started + seconds, played))
        played.seconds = time.perf_counter() - started
        return played

    return _run(players, len(players.displays), work, seconds)


def play_at_pace(players: Players, rate: float, seconds: float) -> Played:
    """``rate`` plays a second, the displays in turn; timed from when each play was due.

    A display that has not answered delays its own next play only, and that is counted.
    """

    async def work(connections: Sequence[Connection]) -> Played:
        played, heads = Played(), await _heads(players, connections)
        turns = [asyncio.Lock() for _ in connections]

        async def play(turn: int, due: float) -> None:
            display = players.displays[turn]
            async with turns[turn]:
                entry = heads[display]
                answer = await connections[turn].answer(players.played_call(display, entry))
                played.taken.append(time.perf_counter() - due)
                played.entries.append(entry)
                heads[display] = json.loads(answer)["head"]

        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(round(rate * seconds)):
                due = started + number / rate
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                group.create_task(play(number % len(connections), due))
        played.seconds = time.perf_counter() - started
        return played

    return _run(players, len(players.displays), work, seconds)


def play_in_batches(players: Players, size: int, clients: int, seconds: float) -> Played:
    """Clients that report one play of up to ``size`` displays each in a call, without pause."""

    def call(plays: Sequence[tuple[str, str]]) -> bytes:
        return players.plays_call(plays) if size > 1 else players.played_call(*plays[0])

    async def client(
        connection: Connection, displays: Sequence[str], heads: dict[str, str], end: float
    ) -> Played:
        played = Played()
        turns = _in_turn(displays, size)
        while time.perf_counter() < end:
            plays = [(display, heads[display]) for display in next(turns)]
            started = time.perf_counter()
            answer = json.loads(await connection.answer(call(plays)))
            played.taken.append(time.perf_counter() - started)
            for (display, entry), told in zip(plays, answer.get("plays", [answer]), strict=True):
                if told.get("status", 200) != 200:
                    raise WrongResultError(f"a play of display {display} is answered {told}")
                played.entries.append(entry)
                heads[display] = told["head"]
        return played

    async def work(connections: Sequence[Connection]) -> Played:
        heads = await _heads(players, connections)
        started = time.perf_counter()
        parts = await asyncio.gather(
            *(
                client(connection, players.displays[number::clients], heads, started + seconds)
                for number, connection in enumerate(connections)
            )
        )
        return Played(
            [entry for part in parts for entry in part.entries],
            [taken for part in parts for taken in part.taken],
            time.perf_counter() - started,
        )

    return _run(players, clients, work, seconds)


def _in_turn(displays: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    while True:
        yield from batched(displays, size)


async def _heads(players: Players, connections: Sequence[Connection]) -> dict[str, str]:
    """The head of each display's queue."""
    heads: dict[str, str] = {}
    for number, display in enumerate(players.displays):
        connection = connections[number % len(connections)]
        found: Any = json.loads(await connection.answer(players.next_call(display)))
        heads[display] = found["videos"][0]["entry"]
    return heads


def _run(
    players: Players,
    connections: int,
    work: Callable[[Sequence[Connection]], Awaitable[Played]],
    seconds: float,
) -> Played:
    async def all_of_it() -> Played:
        async with connected([Call(players.url)] * connections) as opened:
            return await work(opened)

    return in_time_limit(all_of_it(), seconds)
