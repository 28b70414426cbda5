"""How soon an edit is played, among more displays, and with more plays behind each."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from sqlalchemy import Engine

from sorafeed_assets.bench.catalogue import Bench
from sorafeed_assets.bench.displays import playlist_of
from sorafeed_assets.bench.http_servers import our_server
from sorafeed_assets.bench.measuring import Row, Target, percentile_95, row
from sorafeed_assets.bench.react_process import our_react
from sorafeed_assets.bench.react_wall import (
    SEED,
    Seen,
    edit,
    end_wall,
    is_quiet,
    make_wall,
    react_settings,
    wait,
)
from sorafeed_assets.bench.report import Plot
from sorafeed_assets.storage.benchmarks import displays as sql

_SMALLER: Final = (100, 10, 1)
_EDITS: Final = 50
_EDITED: Final = 10
_PLAYS: Final = (100, 1_000, 10_000, 100_000)


@dataclass(frozen=True, slots=True)
class SizeCosts:
    """The reactions to edits, by the number of displays, and by the plays behind each display."""

    by_displays: Sequence[tuple[int, Seen]]
    by_plays: Sequence[tuple[int, Seen]]


def measure_sizes(bench: Bench, posts: int, folder: Path) -> SizeCosts:
    """Run the benchmark on one catalogue; every size has displays of its own."""
    engine = bench.catalogue(posts)

    def edits(displays: int, plays: int) -> Seen:
        return _measure(bench, engine, folder, displays, plays)

    largest = bench.scale.displays
    sizes = sorted({max(_EDITED, largest // n) for n in _SMALLER})
    by_displays = [(displays, edits(displays, 0)) for displays in sizes]
    some = sizes[len(sizes) // 2]
    most = bench.scale.times(_PLAYS[-1])
    by_plays = [(plays, edits(some, plays)) for plays in _PLAYS if plays <= most]
    return SizeCosts(by_displays, by_plays)


def _measure(bench: Bench, engine: Engine, folder: Path, displays: int, plays: int) -> Seen:
    """Edit the playlists of some displays by SQL, each with this many plays behind it."""
    settings = react_settings(bench, engine, folder)
    bench.redis.flushdb()
    wall = make_wall(bench, engine, settings, displays, 0)
    edited = wall.displays[:_EDITED]
    rng = random.Random(SEED)  # noqa: S311  # playlists, not secrets
    seen = Seen()
    times = bench.scale.times(_EDITS)
    try:
        if plays:
            with engine.begin() as connection:
                sql.record_plays(connection, edited, plays)
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                sql.vacuum_plays(connection)
        with (
            our_react(settings, engine, folder / "react.log"),
            our_server(settings, folder / "api.log") as url,
        ):
            wait(lambda: is_quiet(engine), "what waits to be settled")
            for number in range(times):
                edit(wall, url, edited[number % _EDITED], playlist_of(wall.terms, rng), seen)
                bench.progress(f"Editing {displays} displays, {plays} plays", number + 1, times)
    finally:
        end_wall(engine)
    return seen


def sizes_rows(costs: SizeCosts) -> list[Row]:
    """The lines of the table: the largest against the smallest."""
    return [
        _row("{size:,} displays", costs.by_displays),
        _row("{size:,} plays behind the display", costs.by_plays),
    ]


def _row(words: str, measured: Sequence[tuple[int, Seen]]) -> Row:
    (least, few), (most, many) = measured[0], measured[-1]
    name = f"{words.format(size=most)}, against {words.format(size=least)}"
    return row(
        f"SQL edit to a player's event, {name}",
        "ms",
        [1000 * s for s in many.event],
        Target(ratio_under=1.2),
        [1000 * s for s in few.event],
    )


def sizes_plots(costs: SizeCosts) -> dict[str, Plot]:
    """The plots, by the name of their file."""
    return {
        "react-displays": _plot("displays", "Reaction to an edit by SQL", costs.by_displays),
        "react-plays": _plot("plays behind the display", "The same, by plays", costs.by_plays),
    }


def _plot(axis: str, title: str, measured: Sequence[tuple[int, Seen]]) -> Plot:
    series = {}
    for stage in ("queue", "redis", "event"):
        for name, of in (("median", median), ("95th percentile", percentile_95)):
            series[f"{stage}, {name}"] = [(n, of(getattr(seen, stage))) for n, seen in measured]
    return Plot(title, series, axis)
