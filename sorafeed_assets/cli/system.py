"""`sorafeed migrate` and `react`, and what `up` has prepared."""

import signal
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

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
from sorafeed_assets.cli.status import print_status

if TYPE_CHECKING:
    from sorafeed_assets.launch.materialize import Report
    from sorafeed_assets.launch.status import Status


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
    from sorafeed_assets.defs.resources import Connections
    from sorafeed_assets.demo.start import load_demo
    from sorafeed_assets.launch.dagster_instance import end_interrupted_runs, open_instance
    from sorafeed_assets.launch.materialize import in_background, materialize_all
    from sorafeed_assets.launch.status import read_status
    from sorafeed_assets.launch.up import UNCLEAN
    from sorafeed_assets.storage.reactions import drop_all

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


def _print_report(report: "Report", status: "Status") -> None:
    table = Table("asset", "materializations", "seconds", title="Materialized")
    for asset, seconds in report.seconds.items():
        table.add_row(asset, f"{report.events[asset]:,}", f"{seconds:.2f}")
    console.print(table)
    print_status(status)
    for name, passed in sorted(report.checks.items()):
        if not passed:
            console.print(f"[red]check failed:[/] {name}")
    for failure in report.failures:
        console.print(f"[red]failed:[/] {escape(failure)}")


def react(data_dir: DataDir = None) -> None:
    """Settle changes, apply posts, count new terms, and record in Dagster, until Ctrl-C.

    Several may run; one does the work, and another takes over within a second of its end.
    """
    from sorafeed_assets.launch.dagster_instance import open_instance
    from sorafeed_assets.launch.react import React, log_plainly, tune_interpreter
    from sorafeed_assets.launch.servers import servers
    from sorafeed_assets.storage.postgres.migrate import migrate
    from sorafeed_assets.tracing import start_tracing

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


def migrate_database(
    wait: Annotated[
        int, typer.Option(min=0, help="Seconds to wait for a PostgreSQL that does not answer yet.")
    ] = 0,
    data_dir: DataDir = None,
) -> None:
    """Migrate the project's database and Dagster's to their current schemas."""
    from sorafeed_assets.launch.dagster_instance import open_instance
    from sorafeed_assets.launch.servers import servers, wait_for_postgres
    from sorafeed_assets.storage.postgres.migrate import migrate
    from sorafeed_assets.storage.postgres.roles import provide_roles

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
