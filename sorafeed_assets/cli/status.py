"""`sorafeed status`: the state of the system, for people and as JSON."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import typer
from rich.markup import escape
from rich.table import Table

from sorafeed_assets.cli.common import DataDir, console, database
from sorafeed_assets.cli.output import AsJson
from sorafeed_assets.domain.text import counted

if TYPE_CHECKING:
    from sorafeed_assets.launch.attention import AttentionItem
    from sorafeed_assets.launch.status import Status

_SHOWN: Final = 20


def status(
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show posts, counts, displays, timelines, checks, lineage, processes and the last runs."""
    from sorafeed_assets.defs.resources import Connections
    from sorafeed_assets.launch.dagster_instance import open_instance
    from sorafeed_assets.launch.status import read_status

    with database(data_dir) as (_engine, settings), open_instance(settings) as instance:
        connections = Connections(settings)
        try:
            figures = read_status(connections, instance)
        finally:
            connections.close()
    if as_json:
        typer.echo(json.dumps(figures.as_json(), indent=2))
    else:
        print_status(figures)


def print_status(status: "Status") -> None:
    """Print the figures as tables."""
    from sorafeed_assets.services.timelines.queues import QueueClass

    queues, counts, checks = status.timelines, status.counts, status.checks
    table = Table("what", "figure", show_header=False)
    table.add_row("posts", f"{status.posts:,}")
    table.add_row("tracked terms", f"{status.terms:,}")
    table.add_row("counts", f"{counts['fresh']:,} fresh, {counts['stale']:,} stale")
    table.add_row("displays", f"{status.displays:,}")
    # The old system is named only where it drives a display.
    shown = {name: n for name, n in queues.items() if n or name != QueueClass.OLD_SYSTEM}
    table.add_row("timelines", ", ".join(f"{n:,} {_words(name)}" for name, n in shown.items()))
    table.add_row("checks", f"{checks['passed']} passed, {checks['failed']} failed")
    lineage = status.lineage
    table.add_row(
        "lineage",
        f"{lineage['recorded']:,} recorded, {lineage['waiting']} waiting,"
        f" {lineage['differ']} differ",
    )
    last = status.backup
    table.add_row("last backup", "never" if last is None else f"{last.made_at} in {last.folder}")
    for run in status.runs:
        took = "" if run.seconds is None else f" in {run.seconds} s"
        table.add_row("run", f"{run.job} {run.status.lower()}{took}")
    for process in status.processes:
        pid = "ended" if process.pid is None else f"pid {process.pid}"
        again = f", restarted {counted(process.restarts, 'time')}" if process.restarts else ""
        starting = "" if process.is_ready or process.pid is None else ", not ready yet"
        line = f"{process.name}: {pid} since {process.since}{again}{starting}"
        table.add_row("process", line)
    console.print(table)
    _print_attention(status.attention)


def _print_attention(attention: Sequence["AttentionItem"]) -> None:
    if not attention:
        console.print("nothing needs attention")
        return
    table = Table("severity", "kind", "name", "reasons", title="Needs attention")
    for each in attention[:_SHOWN]:
        why = " ".join(each.reasons[:_SHOWN])
        table.add_row(each.severity, each.kind, escape(each.subject), escape(why))
    console.print(table)
    if len(attention) > _SHOWN:
        console.print(f"and {len(attention) - _SHOWN:,} more; --json has all")


def _words(name: str) -> str:
    return name.replace("_", " ")
