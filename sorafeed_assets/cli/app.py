"""The `sorafeed` command: all subcommands under one name, each imported only when it is called."""

from importlib import import_module
from typing import Final, NamedTuple

import typer

_REST: Final = {"allow_extra_args": True, "allow_interspersed_args": False}


class Late(NamedTuple):
    """A subcommand or a group of them: where it is, and its line in the help.

    One that ``takes_rest`` gets all arguments after its first as they are.
    """

    module: str
    attribute: str
    help: str
    hidden: bool = False
    takes_rest: bool = False


COMMANDS: Final = {
    "up": Late(
        "up",
        "up",
        "Start the servers, load the demo, materialize everything, and serve the UI and the API.",
    ),
    "prepare": Late(
        "system",
        "prepare",
        "Load the demo and materialize everything that is not up to date, as `up` does.",
        hidden=True,
    ),
    "status": Late(
        "status",
        "status",
        "Show posts, counts, displays, timelines, checks, lineage, processes and the last runs.",
    ),
    "migrate": Late(
        "system",
        "migrate_database",
        "Migrate the project's database and Dagster's to their current schemas.",
    ),
    "backup": Late(
        "backup",
        "backup",
        "Write both databases, as of one moment, into a new folder, and print its name.",
    ),
    "restore": Late(
        "backup",
        "restore",
        "Restore both databases from a backup; stop all other programs that use them first.",
    ),
    "env": Late(
        "programs",
        "print_environment",
        "Print shell lines with which `dagster dev -w workspace.yaml` joins the running instance.",
    ),
    "exec": Late(
        "programs",
        "run_program",
        "Run a program, such as one of Dagster's, with the variables of `sorafeed env`.",
        takes_rest=True,
    ),
    "serve": Late(
        "serving",
        "serve",
        "Serve the API, the admin page and the players on the data folder or a running `up`.",
    ),
    "react": Late(
        "system",
        "react",
        "Settle changes, apply posts, count new terms, and record in Dagster, until Ctrl-C.",
    ),
    "seed": Late(
        "catalog", "seed", "Fill the catalogue with generated posts; existing rows are kept."
    ),
    "bench": Late(
        "bench",
        "bench",
        "Measure the engine beside the system it replaces, on servers and a catalogue of its own.",
    ),
    "simulate": Late(
        "simulate", "simulate", "Simulate a wall without servers: what it would do and need."
    ),
    "chaos": Late(
        "chaos",
        "chaos",
        "Kill, stop and starve a wall that plays, on servers of its own; then check everything.",
    ),
    "counts": Late("catalog", "counts", "Show how many posts match each search."),
    "blocklist": Late(
        "blocklist", "blocklist", "Exclude posts and creators on every display, and allow them."
    ),
    "displays": Late(
        "displays", "displays", "Add and list displays, and control what is on their screens."
    ),
    "playlists": Late("displays", "playlists", "Import, export, list and activate playlists."),
    "timeline": Late("displays", "timeline", "Show what a display plays, and why."),
    "timetable": Late(
        "timetable", "timetable", "Show, export and import time slots: playlists by the clock."
    ),
    "demo": Late("demo", "demo", "Build demo data: a small old system."),
    "legacy": Late("legacy", "legacy", "Check the old system, import it, and follow it."),
    "shadow": Late("shadow", "shadow", "Compare with the old system, from the same state."),
    "flags": Late("flags", "flags", "Set flags for all displays, for a share or by name."),
    "rollout": Late("rollout", "rollout", "Give a flag's value to a growing share of displays."),
    "cutover": Late(
        "cutover",
        "cutover",
        "Switch displays to this system, unless a check finds a reason against it.",
    ),
    "tokens": Late("tokens", "tokens", "Create, list and revoke tokens for the API."),
}


def build(*called: str) -> typer.Typer:
    """The command, in which only the subcommands ``called`` can be called.

    The others are there for the help: importing all of them takes seconds.
    """
    app = typer.Typer(
        name="sorafeed",
        help="Counts, caches and timelines of displays, as a Dagster asset graph.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    for name, late in COMMANDS.items():
        if name not in called:
            app.command(name, help=late.help, hidden=late.hidden)(_not_called)
            continue
        found = getattr(import_module(f"sorafeed_assets.cli.{late.module}"), late.attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name, help=late.help)
        else:
            app.command(
                name,
                hidden=late.hidden,
                context_settings=_REST if late.takes_rest else None,
            )(found)
    return app


def _not_called() -> None:
    raise AssertionError("this subcommand was not asked for when the command was built")
