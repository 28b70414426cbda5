"""`sorafeed up`, `status`, `migrate` and `env`."""

import json
import os
import shlex
import signal
from pathlib import Path
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
    settings_of,
)
from sorafeed_assets.cli.links import printable
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.demo.start import load_demo
from sorafeed_assets.domain.errors import SetupError
from sorafeed_assets.launch import data_folder
from sorafeed_assets.launch.dagster_home import end_interrupted_runs, environment, open_instance
from sorafeed_assets.launch.materialize import Report, materialize_all
from sorafeed_assets.launch.processes import end_descendants
from sorafeed_assets.launch.react import React, log_plainly, switch_threads_often
from sorafeed_assets.launch.servers import embedded, owned_folder, publish, servers
from sorafeed_assets.launch.status import Status, read_status
from sorafeed_assets.launch.up import (
    DEFAULT_API_PORT,
    choose_port,
    in_background,
    serve,
    stop_on_signals,
)
from sorafeed_assets.services.tokens import Role, create_token, list_tokens, revoke_token
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.postgres.migrate import migrate

_INTERRUPTED: Final = 130  # the exit code that shells use for Ctrl-C
_LINK: Final = "admin-link"
_DEMO: Final = "sorafeed up"


def up(
    once: Annotated[bool, typer.Option("--once", help="Do everything except serving.")] = False,
    posts: Annotated[
        int | None, typer.Option(min=0, help="Posts of the demo catalogue (20,000).")
    ] = None,
    displays: Annotated[
        int | None, typer.Option(min=0, max=10_000, help="Demo displays (12).")
    ] = None,
    data_dir: DataDir = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65_535, help="Port of the Dagster UI (3000).")
    ] = None,
    api_port: Annotated[
        int | None,
        typer.Option(min=1, max=65_535, help="Port of the API and the admin page (3080)."),
    ] = None,
) -> None:
    """Start the servers, load the demo, materialize everything, and serve the UI and the API."""
    settings = settings_of(data_dir)
    try:
        with stop_on_signals() as stop, owned_folder(settings) as folder:
            ui_port = None if once else choose_port(port)
            web_port = choose_port(api_port, DEFAULT_API_PORT, "--api-port")
            with embedded(settings, folder) as addressed:
                publish(folder, addressed)
                is_shared = settings.dagster_url is not None
                report, status = _prepare(addressed, posts, displays, is_shared=is_shared)
                _print_report(report, status)
                if ui_port is not None:
                    secret = _demo_token(addressed)

                    def say_ready(interface: str, api: str) -> None:
                        link = f"{api}/admin?token={secret}"
                        output = console.file.fileno()
                        _say_ready(interface, printable(link, folder / _LINK, output))

                    serve(addressed, ui_port, web_port, stop, on_ready=say_ready)
    except KeyboardInterrupt:
        errors.print("stopped; start it again to continue")
        end_descendants()
        os._exit(_INTERRUPTED)  # background threads would continue to retry
    if once and not report.is_clean:
        raise typer.Exit(1)


def _prepare(
    settings: Settings, posts: int | None, displays: int | None, *, is_shared: bool
) -> tuple[Report, Status]:
    engine = engine_of(settings)
    try:
        migrate(engine)
        with Bars() as bars, open_instance(settings) as instance:
            if not is_shared:
                end_interrupted_runs(instance)
            load_demo(engine, settings, posts=posts, displays=displays, on_progress=bars)
            report = in_background(lambda: materialize_all(settings, instance, bars))
            connections = Connections(settings)
            try:
                return report, read_status(connections, instance)
            finally:
                connections.close()
    finally:
        engine.dispose()


def _demo_token(settings: Settings) -> str:
    """Create the demo's admin token for the printed link; it is valid until the next start."""
    engine = engine_of(settings)
    try:
        for token in list_tokens(engine):
            if token.name == _DEMO and token.revoked_at is None:
                revoke_token(engine, token.id)
        return create_token(engine, Role.ADMIN, _DEMO)[1]
    finally:
        engine.dispose()


def _say_ready(interface: str, admin: str) -> None:
    console.print(
        f"\nDagster UI:  {interface}\nAdmin page:  {admin}\nCtrl-C stops everything.",
        highlight=False,
        soft_wrap=True,
    )


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
    table.add_row(
        "timelines", f"{queues['complete']} complete, {queues['low']} low, {queues['dry']} dry"
    )
    table.add_row("checks", f"{checks['passed']} passed, {checks['failed']} failed")
    lineage = status.lineage
    table.add_row(
        "lineage",
        f"{lineage['recorded']:,} recorded, {lineage['waiting']} waiting,"
        f" {lineage['differ']} differ",
    )
    for run in status.runs:
        took = "" if run.seconds is None else f" in {run.seconds} s"
        table.add_row("run", f"{run.job} {run.status.lower()}{took}")
    console.print(table)


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
        switch_threads_often()
        process = React(settings, instance)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: process.stop())
        process.run()


def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Show posts, counts, displays, timelines, checks, lineage and the last runs."""
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


def migrate_database(data_dir: DataDir = None) -> None:
    """Bring the database to the current schema."""
    with servers(settings_of(data_dir)) as settings:
        engine = engine_of(settings)
        try:
            before, after = migrate(engine)
        finally:
            engine.dispose()
    console.print(
        f"already at {after}"
        if before == after
        else f"migrated from {before or 'empty'} to {after}"
    )


def print_environment(data_dir: DataDir = None) -> None:
    """Print shell lines with which `dagster dev -w workspace.yaml` joins the running instance."""
    folder: Path = settings_of(data_dir).data_dir.resolve()
    if data_folder.running(folder) is None:
        raise SetupError(f"no instance runs in {folder}; start `sorafeed up` first")
    with servers(settings_of(data_dir)) as settings:
        for name, value in environment(settings).items():
            typer.echo(f"export {name}={shlex.quote(value)}")
