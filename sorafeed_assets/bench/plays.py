"""Plays over HTTP: players without pause, players at their pace, and plays reported in batches."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from multiprocessing import get_context
from typing import Final

from sqlalchemy import Engine

from sorafeed_assets.bench.catalogue import Bench
from sorafeed_assets.bench.measuring import Row, Target, WrongResultError, percentile_99, row
from sorafeed_assets.bench.playing import (
    Played,
    Players,
    play_at_pace,
    play_in_batches,
    play_without_pause,
)
from sorafeed_assets.bench.react_wall import is_quiet, wait
from sorafeed_assets.services.cache.write import check_timeline_cache
from sorafeed_assets.services.timelines.checks import check_queues
from sorafeed_assets.storage.benchmarks.displays import played_entries

_PLAYERS: Final = 64
_PACE: Final = 100  # a second
_BATCH: Final = 50
_BATCH_CLIENTS: Final = 2
_SECONDS: Final = 20


@dataclass(frozen=True, slots=True)
class PlayCosts:
    """Seconds for each play and of each answer."""

    per_play: Sequence[float]
    answer: Sequence[float]
    paced_answer: Sequence[float]
    per_play_batched: Sequence[float]
    per_play_alone: Sequence[float]


def measure_plays(
    bench: Bench, engine: Engine, players: Players, react: AbstractContextManager[object]
) -> PlayCosts:
    """Run on one server, in turn with one player that reports one play after another.

    ``react`` plans the next loops ahead meanwhile, as in production.
    """
    few = replace(players, displays=players.displays[:_PLAYERS])
    seconds = _SECONDS * bench.scale.effort
    measured: list[Played] = []

    def measure(work: Callable[..., Played], *arguments: object) -> Played:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            measured.append(process.submit(work, *arguments).result())
        bench.progress("Playing", len(measured), 4)
        return measured[-1]

    with react:
        wait(lambda: is_quiet(engine), "what waits to be settled")
        alone = measure(play_in_batches, players, 1, 1, seconds)
        busy = measure(play_without_pause, few, seconds)
        paced = measure(play_at_pace, players, _PACE, seconds)
        batched = measure(play_in_batches, players, _BATCH, _BATCH_CLIENTS, seconds)
    check_plays(bench, engine, players, [entry for each in measured for entry in each.entries])
    return PlayCosts(
        [busy.per_play],
        busy.taken,
        paced.taken,
        [batched.per_play],
        [alone.per_play],
    )


def check_plays(bench: Bench, engine: Engine, players: Players, entries: Sequence[str]) -> None:
    """Raise unless each acknowledged play is recorded once, and players read what is stored."""
    with engine.connect() as connection:
        recorded = played_entries(connection, players.displays)
    if sorted(entries) != sorted(recorded):
        raise WrongResultError(f"{len(entries)} plays are answered, {len(recorded)} are recorded")
    cached = check_timeline_cache(engine, bench.redis, players.displays)
    problems = {
        **check_queues(engine, players.displays, window=bench.settings.window),
        **{display: found for display, found in cached.items() if found},
    }
    if problems:
        raise WrongResultError(f"the displays are not as played: {problems}")


def plays_rows(costs: PlayCosts) -> list[Row]:
    """The lines of the table about plays."""
    alone = _milliseconds(costs.per_play_alone)
    players = f"plays over HTTP, {_PLAYERS} players without pause"
    return [
        row(
            f"{players}: a play, against one player that reports one after the other",
            "ms",
            _milliseconds(costs.per_play),
            Target(ours_under=1),
            alone,
        ),
        row(
            f"{players}: an answer, 99th percentile",
            "ms",
            _milliseconds(costs.answer),
            Target(ours_under=60),
            ours_is=percentile_99,
        ),
        row(
            f"plays over HTTP, {_PACE} a second: an answer, 99th percentile",
            "ms",
            _milliseconds(costs.paced_answer),
            Target(ours_under=15),
            ours_is=percentile_99,
        ),
        row(
            f"plays over HTTP, {_BATCH} in a call: a play, against one after the other",
            "ms",
            _milliseconds(costs.per_play_batched),
            Target(ours_under=0.2),
            alone,
        ),
    ]


def _milliseconds(seconds: Sequence[float]) -> list[float]:
    return [1000 * each for each in seconds]
