"""The samples of a rollout's signals: the displays in its share, and those out of it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection

from sorafeed_assets.domain.rollouts.machine import Rollout, State
from sorafeed_assets.domain.rollouts.signals import Sample, Samples, Signal
from sorafeed_assets.services.flags import FlagValues
from sorafeed_assets.services.timelines.driving import Driver, driven_by
from sorafeed_assets.storage.playlists.rows import display_ids
from sorafeed_assets.storage.rollouts.rows import Usual
from sorafeed_assets.storage.rollouts.signals import Counts, read_signals

LOOKED_BACK: Final = timedelta(hours=1)
"""How long before a rollout the usual rates of displays are taken from."""
# A longer step begins a new comparison after this: an evaluation reads a bounded number of plays.
_WINDOW: Final = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Sides:
    """The displays in the share and those out of it, as they would be without a choice by name."""

    inside: frozenset[str]
    outside: frozenset[str]


def usual_rates(
    connection: Connection, flags: FlagValues, signals: Collection[Signal], now: datetime
) -> Usual:
    """The part of each signal that went wrong on each display in the hour before ``now``."""
    displays = _compared(connection, flags)
    counts = read_signals(connection, signals, displays, now - LOOKED_BACK, now)
    return {
        signal: {name: events / trials for name, (events, trials) in of.items() if trials}
        for signal, of in counts.items()
    }


def read_samples(
    connection: Connection,
    flags: FlagValues,
    rollout: Rollout,
    state: State,
    usual: Usual,
    now: datetime,
) -> dict[Signal, Samples]:
    """The samples of displays of a rollout's step."""
    displays = _compared(connection, flags)
    sides = _sides(flags, rollout, displays)
    since = compared_since(state, now)
    counts = read_signals(connection, rollout.signals, displays, since, now)
    return {
        signal: Samples(
            _samples(sides.inside, of, usual.get(signal, {})),
            _samples(sides.outside, of, usual.get(signal, {})),
        )
        for signal, of in counts.items()
    }


def compared_since(state: State, now: datetime) -> datetime:
    """When the present comparison of a step began: with the step, or its last whole two hours."""
    return state.since + (now - state.since) // _WINDOW * _WINDOW


def comparisons_of(rollout: Rollout, state: State, now: datetime) -> int:
    """By how many comparisons the probability of a false alarm is divided.

    A rollout makes so many that know nothing of each other. A step that is held for longer makes
    more: its k-th one counts as k (k + 1) times all planned ones, whose reciprocals add up to one,
    so that however long steps are held, the probability is at most doubled.
    """
    planned = sum(-(-step.duration // _WINDOW) for step in rollout.steps[:-1])
    of_step = -(-rollout.steps[state.step].duration // _WINDOW)
    more = max(0, (now - state.since) // _WINDOW + 1 - of_step)
    return planned * max(1, more * (more + 1))


def _compared(connection: Connection, flags: FlagValues) -> set[str]:
    """The displays that this system drives: of the others it records no plays."""
    return driven_by(flags, [Driver.NEW], display_ids(connection))


def _sides(flags: FlagValues, rollout: Rollout, displays: Collection[str]) -> Sides:
    split = flags.split(rollout.flag)
    chosen = () if split is None else split.chosen
    # A display that was chosen by name is on its side for a reason, not by chance.
    values = flags.values(rollout.flag, [name for name in displays if name not in chosen])
    inside = frozenset(name for name, value in values.items() if value == rollout.value)
    return Sides(inside, frozenset(values) - inside)


def _samples(displays: Collection[str], counts: Counts, usual: Mapping[str, float]) -> list[Sample]:
    return [
        Sample(*counts[name], usual.get(name, 0.0)) for name in sorted(displays) if name in counts
    ]
