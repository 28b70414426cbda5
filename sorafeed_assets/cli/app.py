"""The `sorafeed` command: all subcommands under one name."""

import typer

from sorafeed_assets.cli import catalog, displays, serving, system
from sorafeed_assets.cli.bench import bench
from sorafeed_assets.cli.demo import demo
from sorafeed_assets.cli.legacy import legacy

app = typer.Typer(
    name="sorafeed",
    help="Counts, caches and timelines of displays, as a Dagster asset graph.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("up")(system.up)
app.command("status")(system.status)
app.command("migrate")(system.migrate_database)
app.command("env")(system.print_environment)
app.command("exec", context_settings={"allow_extra_args": True, "allow_interspersed_args": False})(
    system.run_program
)
app.command("serve")(serving.serve)
app.command("react")(system.react)
app.command("seed")(catalog.seed)
app.command("bench")(bench)
app.add_typer(catalog.counts, name="counts")
app.add_typer(displays.displays, name="displays")
app.add_typer(displays.playlists, name="playlists")
app.add_typer(displays.timeline, name="timeline")
app.add_typer(demo, name="demo")
app.add_typer(legacy, name="legacy")
app.add_typer(serving.tokens, name="tokens")
