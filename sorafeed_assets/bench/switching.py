"""How soon displays that all switch by the clock at the same second have their new playlist."""

import random
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from redis import Redis

from sorafeed_assets.bench.catalogue import Bench
from sorafeed_assets.bench.displays import new_playlists, playlist_of
from sorafeed_assets.bench.measuring import Row, Target, WrongResultError, row
from sorafeed_assets.bench.react_process import our_react
from sorafeed_assets.bench.react_wall import (
    PATIENCE,
    SEED,
    Wall,
    end_wall,
    is_quiet,
    make_wall,
    react_settings,
    wait,
)
from sorafeed_assets.domain.playlists.time_slots import EVERY_DAY, SlotDraft
from sorafeed_assets.services.playlists.editing import list_playlists
from sorafeed_assets.services.playlists.timetables import replace_slots
from sorafeed_assets.storage.cache.redis import timeline_key

_DISPLAYS: Final = 100
_ROUNDS: Final = 5
# Until then the time slots are settled and recorded.
_LEAD: Final = timedelta(seconds=10)
_LEAD_EACH: Final = timedelta(seconds=0.1)
_LASTS: Final = timedelta(seconds=10)
_LOOK_SECONDS: Final = 0.01


@dataclass(slots=True)
class SwitchCosts:
    """Seconds from the time of a switch until the first and the last display had its snapshot."""

    displays: int
    first: list[float] = field(default_factory=list)
    last: list[float] = field(default_factory=list)


def measure_switches(bench: Bench, posts: int, folder: Path) -> SwitchCosts:
    """Let all displays begin and end a time slot in the same second, a few times."""
    engine = bench.catalogue(posts)
    settings = react_settings(bench, engine, folder)
    bench.redis.flushdb()
    wall = make_wall(bench, engine, settings, min(bench.scale.displays, _DISPLAYS), 0)
    costs = SwitchCosts(len(wall.displays))
    rng = random.Random(SEED)  # noqa: S311  # playlists, not secrets
    try:
        bases = _playlists(wall)
        new_playlists(engine, {code: playlist_of(wall.terms, rng) for code in wall.displays})
        slotted = {c: each for c, each in _playlists(wall).items() if each != bases[c]}
        with our_react(settings, engine, folder / "react.log"), bench.redis as redis:
            wait(lambda: is_quiet(engine), "what waits to be settled")
            rounds = bench.scale.times(_ROUNDS)
            for number in range(rounds):
                begins = datetime.now(UTC) + _LEAD + len(slotted) * _LEAD_EACH
                begins = begins.replace(microsecond=0)
                ends = begins + _LASTS
                draft = SlotDraft(EVERY_DAY, begins.time(), ends.time(), "UTC")
                for playlist in slotted.values():
                    replace_slots(engine, playlist, [draft])
                wait(lambda: is_quiet(engine), "what waits to be settled")
                _see(redis, slotted, begins, costs)
                wait(lambda: is_quiet(engine), "what waits to be settled")
                _see(redis, bases, ends, costs)
                wait(lambda: is_quiet(engine), "what waits to be settled")
                bench.progress("Switching by the clock", number + 1, rounds)
    finally:
        end_wall(engine)
    return costs


def _playlists(wall: Wall) -> dict[str, UUID]:
    """The newest playlist of each display."""
    return {
        each.display_id: each.id
        for each in list_playlists(wall.engine)
        if each.display_id != wall.watching
    }


def _see(redis: Redis, wanted: Mapping[str, UUID], at: datetime, costs: SwitchCosts) -> None:
    """Look at the snapshots from the time of a switch on, until all displays have switched."""
    if datetime.now(UTC) > at:
        raise WrongResultError("the displays were not settled before the time of their switch")
    time.sleep((at - datetime.now(UTC)).total_seconds())
    left, deadline = set(wanted), time.perf_counter() + PATIENCE
    before = len(left)
    while left:
        left -= _switched(redis, wanted, left)
        gone = (datetime.now(UTC) - at).total_seconds()
        if before == len(wanted) > len(left):
            costs.first.append(gone)
        before = len(left)
        if time.perf_counter() > deadline:
            raise WrongResultError(f"{len(left)} displays did not switch at their time")
        time.sleep(_LOOK_SECONDS)
    costs.last.append(gone)


def _switched(redis: Redis, wanted: Mapping[str, UUID], left: Collection[str]) -> set[str]:
    codes = sorted(left)
    found = redis.mget([timeline_key(code) for code in codes])
    return {
        code for code, value in zip(codes, found, strict=True) if str(wanted[code]) in str(value)
    }


def switch_rows(costs: SwitchCosts) -> list[Row]:
    """The lines of the table about switches by the clock."""
    return [
        row(
            f"{costs.displays:,} displays switch in the same second: {which} one, to Redis",
            "ms",
            [1000 * s for s in taken],
            Target(ours_under=1_000),
        )
        for which, taken in (("the first", costs.first), ("the last", costs.last))
    ]
