"""`sorafeed simulate`: what a wall would do and need, without servers."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer
from rich.table import Table

from sorafeed_assets.bench.report import Plot, draw
from sorafeed_assets.cli.common import Bars, console
from sorafeed_assets.cli.output import AsJson
from sorafeed_assets.domain.simulation.catalogue import POSTS_PER_DAY, Rates
from sorafeed_assets.domain.simulation.needs import (
    NAMED,
    PLAY_API,
    PLAY_POSTGRES,
    SETTLE,
    Needs,
    needs_of,
)
from sorafeed_assets.domain.simulation.tally import Tally, total
from sorafeed_assets.domain.simulation.wall import HOUR, WallPlan, simulate_wall

simulate = typer.Typer(no_args_is_help=True)

_MEGABYTE: Final = 1_000_000
_SOON: Final = 10
_SIZES: Final = (1_000, 10_000, 100_000, 1_000_000)


@simulate.callback()
def _group() -> None:
    """Simulate a wall without servers: what it would do and need."""


@simulate.command("wall")
def wall(
    displays: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Displays of the wall.")
    ] = 1_000,
    hours: Annotated[float, typer.Option(min=0.01, max=168, help="Hours to simulate.")] = 1.0,
    posts: Annotated[
        int, typer.Option(min=1, help="Posts of the catalogue at the beginning.")
    ] = 3_100_000,
    terms: Annotated[
        int, typer.Option(min=1, max=10_000, help="Searches that the playlists use.")
    ] = 200,
    posts_per_day: Annotated[
        float, typer.Option(min=0, max=100_000_000, help="New posts a day.")
    ] = POSTS_PER_DAY,
    deletes_per_day: Annotated[
        float, typer.Option(min=0, max=1_000_000, help="Deleted posts a day.")
    ] = 100.0,
    edits_per_day: Annotated[
        float, typer.Option(min=0, max=1_000, help="Edits of each playlist a day.")
    ] = 1.0,
    settlers: Annotated[
        int, typer.Option(min=1, help="Processes that settle displays at the same time.")
    ] = 1,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same wall.")] = 1,
    as_json: AsJson = False,
    plot_file: Annotated[
        Path | None,
        typer.Option("--plot", help="Also plot what larger walls like this one need, as a PNG."),
    ] = None,
) -> None:
    """Simulate a wall with the real planner, and say what it would need by unit costs.

    Displays play without pause, videos of 5 to 15 seconds, playlists of 12 blocks.
    """
    plan = WallPlan(
        displays,
        hours,
        posts,
        terms,
        Rates(posts_per_day, deletes_per_day, edits_per_day),
        SETTLE.value,
        settlers,
        seed=seed,
    )
    with Bars() as bars:
        tallies = simulate_wall(plan, time.thread_time, lambda *of: bars("Displays", *of))
    whole = total(tallies)
    needs = needs_of(whole, displays, plan.seconds)
    if as_json:
        typer.echo(orjson.dumps(_figures(plan, tallies, needs), option=_JSON).decode())
    else:
        console.print(_hours_table(tallies))
        _print_totals(plan, whole)
        console.print(_needs_table(needs))
        console.print(_costs_table())
    if plot_file is not None:
        draw(plot_file, _plot(plan, whole))


_JSON: Final = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
_LINES: Final = {
    "plays": "plays",
    "replays": "played again after all others",
    "repeats": "repeated in one plan",
    "loops": "loops begun",
    "dry_blocks": "dry blocks of these",
    "posts": "new posts",
    "deletes": "deleted posts",
    "edits": "edited playlists",
    "plans": "plans made",
    "settled_for_posts": "of them for new posts",
    "settled_for_deletes": "of them for deleted posts",
    "settled_for_edits": "of them for edits",
    "prolonged": "of them because a plan was about to end",
    "changed": "plans that differed",
    "rows": "rows written to PostgreSQL",
    "snapshots": "snapshots written to Redis",
}


def _plot(plan: WallPlan, whole: Tally) -> Plot:
    """The cores of walls of other sizes, whose displays play as these do."""
    plays = whole.plays / plan.displays / plan.seconds
    costs = {
        "API": plays * PLAY_API.value,
        "PostgreSQL, for plays": plays * PLAY_POSTGRES.value,
        f"settling all displays within {_SOON} s": SETTLE.value / _SOON,
    }
    series = {name: [(size, size * cost) for size in _SIZES] for name, cost in costs.items()}
    return Plot("Cores that a wall keeps busy, by unit costs", series, "displays", "cores")


def _hours_table(tallies: list[Tally]) -> Table:
    shown = tallies if len(tallies) <= 6 else [tallies[0], total(tallies)]
    heads = (
        [f"hour {number + 1}" for number in range(len(tallies))]
        if len(tallies) <= 6
        else ["hour 1", f"{len(tallies)} hours"]
    )
    table = Table("", *heads)
    for name, line in _LINES.items():
        table.add_row(line, *(f"{getattr(tally, name):,}" for tally in shown))
    return table


def _print_totals(plan: WallPlan, whole: Tally) -> None:
    per_change = whole.settled / whole.changes if whole.changes else 0.0
    planning = 1_000 * whole.planning_seconds / max(whole.plans, 1)
    lines = [
        f"planning takes {planning:.2f} ms of a core a plan, measured",
        f"a stored plan has {whole.plan_bytes / max(whole.changed, 1):,.0f} bytes",
        f"{per_change:,.1f} displays are settled for a change",
        f"a display is settled for new posts once in {plan.cycle:,.0f} s at most",
    ]
    console.print("\n".join(lines), highlight=False)


def _needs_table(needs: Needs) -> Table:
    table = Table("needed on average", "", title="By the unit costs below")
    for line, value in (
        ("processors of the API", f"{needs.api_cores:,.2f}"),
        ("processors that settle", f"{needs.settling_cores:,.2f}"),
        ("processors of PostgreSQL", f"{needs.postgres_cores:,.2f}"),
        ("rows written a second", f"{needs.rows_per_second:,.0f}"),
        ("plans written, MB/s", f"{needs.plan_bytes_per_second / _MEGABYTE:,.2f}"),
        ("memory of Redis, MB", f"{needs.redis_bytes / _MEGABYTE:,.0f}"),
        ("network without videos, MB/s", f"{needs.network_bytes_per_second / _MEGABYTE:,.2f}"),
    ):
        table.add_row(line, value)
    return table


def _costs_table() -> Table:
    table = Table("unit cost", "", "from")
    for name, cost in NAMED.items():
        table.add_row(name, f"{cost.value:g} {cost.unit}", cost.source)
    return table


def _figures(plan: WallPlan, tallies: list[Tally], needs: Needs) -> dict[str, Any]:
    return {
        "plan": asdict(plan),
        "cycle_seconds": plan.cycle,
        "hour_seconds": HOUR,
        "hours": [asdict(tally) for tally in tallies],
        "needs": asdict(needs),
    }
