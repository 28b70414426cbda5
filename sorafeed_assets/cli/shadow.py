"""`sorafeed shadow`: both systems count and plan from the same state; nothing reaches a screen."""

import json
import signal
from threading import Event
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.markup import escape
from rich.table import Table

from sorafeed_assets.cli.common import Bars, DataDir, console, database
from sorafeed_assets.cli.output import AsJson
from sorafeed_assets.domain.shadow.outcome import MEANINGS, Outcome

if TYPE_CHECKING:
    from sorafeed_assets.services.shadow.report import ShadowReport
    from sorafeed_assets.services.shadow.run import Pass

shadow = typer.Typer(no_args_is_help=True)

_OUTCOMES: Final = tuple(Outcome)


@shadow.command("run")
def run(
    once: Annotated[
        bool, typer.Option("--once", help="End when everything has been compared today.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Compare counts, plans, queues and plays, each once a day, until Ctrl-C; writes only results.

    The old side is read by one connection, one statement at a time, within the share of its time
    that SORAFEED_SHADOW_DATABASE_SHARE allows.
    """
    from sorafeed_assets.launch.shadow import compare_until_stopped
    from sorafeed_assets.services.shadow.run import compare_due, shadow_of

    stop = Event()
    with database(data_dir) as (engine, settings), Bars() as bars:
        found = shadow_of(engine, settings)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        if once:
            _print_pass(compare_due(found, stop, bars))
        else:
            compare_until_stopped(found, stop, bars, _print_pass, _print_problem)


def _print_problem(problem: str) -> None:
    console.print(f"{problem}; trying again", markup=False, highlight=False, soft_wrap=True)


def _print_pass(done: "Pass") -> None:
    if not done.outcomes:
        return
    counts = ", ".join(f"{n:,} {_words(outcome)}" for outcome, n in sorted(done.outcomes.items()))
    console.print(f"compared: {counts}; {done.old_seconds:.1f} s of the old database's time")


@shadow.command("report")
def report(
    as_json: AsJson = False,
    days: Annotated[
        int | None,
        typer.Option("--days", min=1, max=90, help="How many days, up to today."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Show what was compared: the gate, differences by rule and display, before and after."""
    from sorafeed_assets.services.shadow.report import shadow_report

    with database(data_dir) as (engine, settings):
        found = shadow_report(engine, days or settings.shadow_gate_days)
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2))
    else:
        _print_report(found)


def _print_report(found: "ShadowReport") -> None:
    state = "[green]open[/]" if found.gate.is_open else "[bold red]closed[/]"
    console.print(f"gate: {state}: {found.gate.reason}")
    table = Table("day (UTC)", *map(_words, _OUTCOMES))
    for day in found.days:
        outcomes = found.by_day.get(day, {})
        table.add_row(f"{day}", *(f"{outcomes.get(each, 0):,}" for each in _OUTCOMES))
    console.print(table)
    table = Table("kind", *map(_words, _OUTCOMES))
    for kind, outcomes in sorted(found.by_kind.items()):
        table.add_row(kind, *(f"{outcomes.get(each, 0):,}" for each in _OUTCOMES))
    console.print(table)
    if found.rules:
        table = Table("rule", "comparisons", "because")
        for rule, count in found.rules.items():
            table.add_row(rule.value, f"{count:,}", escape(MEANINGS[rule]))
        console.print(table)
    if found.costs:
        _print_costs(found)
    scores = found.scores
    console.print(
        f"the old system: plans of {scores.broken} of {scores.plans} displays break a rule;"
        f" {scores.rows:,} rows wait where {scores.belong:,} belong;"
        f" {scores.repeats_per_hundred:.1f} repeats in 100 plays",
        soft_wrap=True,
    )
    lines = [("not compared", each) for each in found.not_compared]
    for what, each in [*lines, *(("unexplained", each) for each in found.unexplained)]:
        line = f"{what}: {each.compared_at:%Y-%m-%d %H:%M} UTC: {each.where}: {each.detail}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _print_costs(found: "ShadowReport") -> None:
    table = Table("work", "before", "p95", "after", "p95", "times faster", "statements")
    for work, cost in found.costs.items():
        before, after = found.statements[work]
        table.add_row(
            work,
            *(
                _milliseconds(seconds)
                for seconds in (
                    cost.before_median,
                    cost.before_p95,
                    cost.after_median,
                    cost.after_p95,
                )
            ),
            f"{cost.ratio:,.1f}",
            f"{before} → {after}",
        )
    console.print(table)


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:,.1f} ms"


def _words(outcome: Outcome) -> str:
    return outcome.value.replace("_", " ")
