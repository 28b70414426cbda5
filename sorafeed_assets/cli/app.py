"""All commands under one name."""

import sys

import typer

from sorafeed_assets.cli import catalog, system, wall
from sorafeed_assets.cli.common import errors
from sorafeed_assets.domain.errors import SorafeedError

app = typer.Typer(
    name="sorafeed",
    help="Counts, caches and timelines for walls of displays, as a Dagster asset graph.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("up")(system.up)
app.command("status")(system.status)
app.command("migrate")(system.migrate_database)
app.command("env")(system.print_environment)
app.command("seed")(catalog.seed)
app.add_typer(catalog.counts, name="counts")
app.add_typer(wall.displays, name="displays")
app.add_typer(wall.playlists, name="playlists")
app.add_typer(wall.timeline, name="timeline")


def main() -> None:
    """Run the command; an error a user can act on is one line, not a traceback."""
    try:
        app()
    except SorafeedError as error:
        errors.print(f"[bold red]Error:[/] {error}", highlight=False, soft_wrap=True)
        sys.exit(1)
