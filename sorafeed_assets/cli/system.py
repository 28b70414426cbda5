"""`sorafeed status`, `migrate` and `react`, and what `up` has prepared."""

import json
import signal
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

import typer
from rich.markup import escape
from rich.table import Table

from sorafeed_assets.cli.common import (
    Bars,
    DataDir,
    console,
    database,
    engine_of,
    errors,
    say,
    settings_of,
)
from sorafeed_assets.cli.output import AsJson
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.demo.start import load_demo
from sorafeed_assets.domain.text import counted
from sorafeed_assets.launch.attention import AttentionItem
from sorafeed_assets.launch.dagster_instance import end_interrupted_runs, open_instance
from sorafeed_assets.launch.materialize import Report, in_background, materialize_all
from sorafeed_assets.launch.react import React, log_plainly, tune_interpreter
from sorafeed_assets.launch.servers import servers, wait_for_postgres
from sorafeed_assets.launch.status import Status, read_status
from sorafeed_assets.launch.up import UNCLEAN
from sorafeed_assets.services.timelines.queues import QueueClass
from sorafeed_assets.storage.postgres.migrate import migrate
from sorafeed_assets.storage.postgres.roles import provide_roles
from sorafeed_assets.storage.reactions import drop_all
from sorafeed_assets.tracing import start_tracing

_SHOWN: Final = 20


def prepare(
    posts: Annotated[int | None, typer.Option(min=0)] = None,
    displays: Annotated[int | None, typer.Option(min=0, max=10_000)] = None,
    interrupted_before: Annotated[
        str | None,
        typer.Option(help="End runs that were created before this moment and have not ended."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Load the demo and materialize everything that is not up to date, as `up` does."""
    with database(data_dir) as (engine, settings):
        with Bars() as bars, open_instance(settings) as instance:
            if interrupted_before is not None:
                end_interrupted_runs(instance, datetime.fromisoformat(interrupted_before))
            added = load_demo(engine, settings, posts=posts, displays=displays, on_progress=bars)
            report = in_background(lambda: materialize_all(settings, instance, bars))
            if added:
                # No user waited for the first plans of the demo's displays.
                with engine.begin() as connection:
                    drop_all(connection)
            connections = Connections(settings)
            try:
                status = read_status(connections, instance)
            finally:
                connections.close()
        _print_report(report, status)
    if not report.is_clean:
        raise typer.Exit(UNCLEAN)


def _print_report(report: Report, status: Status) -> None:
    table = Table("asset", "materializations", "seconds", title="Materialized")
    for asset, seconds in report.seconds.items():
        table.add_row(asset, f"{report.events[asset]:,}", f"{seconds:.2f}")
    console.print(table)
    _print_status(status)
    for name, passed in sorted(report.checks.items()):
        if not passed:
            console.print(f"[red]check failed:[/] {name}")
    for failure in report.failures:
        console.print(f"[red]failed:[/] {escape(failure)}")


def _print_status(status: Status) -> None:
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


def _print_attention(attention: Sequence[AttentionItem]) -> None:
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


def react(data_dir: DataDir = None) -> None:
    """Settle changes, apply posts, count new terms, and record in Dagster, until Ctrl-C.

    Several may run; one does the work, and another takes over within a second of its end.
    """
    with servers(settings_of(data_dir)) as settings, open_instance(settings) as instance:
        engine = engine_of(settings)
        try:
            migrate(engine)
        finally:
            engine.dispose()
        log_plainly()
        start_tracing(settings, "sorafeed-react")
        process = React(settings, instance)
        tune_interpreter()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: process.stop())
        process.run()


def status(
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show posts, counts, displays, timelines, checks, lineage, processes and the last runs."""
    with database(data_dir) as (_engine, settings), open_instance(settings) as instance:
        connections = Connections(settings)
        try:
            figures = read_status(connections, instance)
        finally:
            connections.close()
    if as_json:
        typer.echo(json.dumps(figures.as_json(), indent=2))
    else:
        _print_status(figures)


def migrate_database(
    wait: Annotated[
        int, typer.Option(min=0, help="Seconds to wait for a PostgreSQL that does not answer yet.")
    ] = 0,
    data_dir: DataDir = None,
) -> None:
    """Migrate the project's database and Dagster's to their current schemas."""
    with servers(settings_of(data_dir)) as settings:
        wait_for_postgres(settings, wait, say)
        engine = engine_of(settings)
        try:
            # First the roles: in a new database their migrator owns the tables.
            provide_roles(engine)
            before, after = migrate(engine)
            roles = provide_roles(engine)
        finally:
            engine.dispose()
        with open_instance(settings) as instance:
            instance.upgrade()
    for problem in roles.problems:
        errors.print(f"roles: {problem}", highlight=False, markup=False, soft_wrap=True)
    console.print(
        f"already at {after}"
        if before == after
        else f"migrated from {before or 'empty'} to {after}"
    )
