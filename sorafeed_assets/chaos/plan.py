"""The plan of a run: which fault comes when. The same seed gives the same plan."""

import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import cycle
from typing import Final


class Kind(StrEnum):
    """The kinds of faults, in words."""

    KILL_API = "an API process killed"
    KILL_BACKEND = "a PostgreSQL backend killed"
    KILL_REACT = "a react process killed"
    KILL_DAGSTER = "a program of Dagster killed"
    KILL_REDIS = "Redis killed"
    KILL_POSTGRES = "PostgreSQL killed"
    STOP_API = "an API process stopped for seconds"
    STOP_REACT = "a react process stopped for seconds"
    STOP_BACKEND = "a PostgreSQL backend stopped for seconds"
    STOP_REDIS = "Redis stopped for seconds"
    FLUSH_REDIS = "Redis flushed"
    RESTART_REDIS = "Redis restarted"
    RESTART_POSTGRES = "PostgreSQL restarted"
    DAGSTER_AWAY = "Dagster's database away for seconds"
    FULL_DISK = "PostgreSQL's disk full for seconds"
    CLOCK_STEP = "the clock of API and react stepped"


# Of a hundred kills.
KILLS: Final = {
    Kind.KILL_API: 34,
    Kind.KILL_BACKEND: 34,
    Kind.KILL_REACT: 16,
    Kind.KILL_DAGSTER: 8,
    Kind.KILL_REDIS: 5,
    Kind.KILL_POSTGRES: 3,
}
LASTING: Final = frozenset(
    {
        *(Kind.STOP_API, Kind.STOP_REACT, Kind.STOP_BACKEND, Kind.STOP_REDIS),
        *(Kind.DAGSTER_AWAY, Kind.FULL_DISK),
    }
)
_SHORTEST: Final = 1.0
_LONGEST: Final = 4.0
# The first faults wait until the players play.
_START_SECONDS: Final = 2.0
# Turns of one kind are so far apart, modulo 1: any 2 n of them meet each of n targets.
_NEXT_TURN: Final = (5**0.5 - 1) / 2


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        at: seconds after the start of the run.
        kind: what happens.
        turn: 0 to 1, chooses among the possible targets, which take turns, and the size of a clock
            step.
        seconds: how long it lasts; 0 for a moment.
    """

    at: float
    kind: Kind
    turn: float
    seconds: float = 0.0


def make_plan(
    seconds: float, kills: int, seed: int, possible: Collection[Kind] = tuple(Kind)
) -> Sequence[Fault]:
    """The faults of a run in the order of their times.

    Besides the ``kills`` there is another fault for every ten of them, at least one of each kind
    that is ``possible`` if there are as many kills as kinds.
    """
    rng = random.Random(seed)  # noqa: S311  # a plan, not a secret
    deadly = [kind for kind in KILLS if kind in possible]
    others = [kind for kind in Kind if kind in possible and kind not in KILLS]
    chosen = rng.choices(deadly, [KILLS[kind] for kind in deadly], k=kills) if deadly else []
    least = len(others) if kills >= len(others) else 1
    chosen += [kind for kind, _ in zip(_in_turn(others, rng), range(max(least, kills // 10)))]  # noqa: B905  # endless
    rng.shuffle(chosen)
    span = max(0.0, seconds - _START_SECONDS)
    moments = sorted(_START_SECONDS + span * rng.random() for _ in chosen)
    turns = {kind: rng.random() for kind in Kind}
    faults = []
    for at, kind in zip(moments, chosen, strict=True):
        turns[kind] = (turns[kind] + _NEXT_TURN) % 1
        seconds = rng.uniform(_SHORTEST, _LONGEST) if kind in LASTING else 0.0
        faults.append(Fault(at, kind, turns[kind], seconds))
    return faults


def _in_turn(kinds: Sequence[Kind], rng: random.Random) -> Iterator[Kind]:
    return cycle(rng.sample(kinds, len(kinds)))
