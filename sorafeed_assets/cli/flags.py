"""`sorafeed flags`: what decides for displays, and who changed it."""

import getpass
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from sorafeed_assets.cli.common import DataDir, console, database
from sorafeed_assets.cli.output import As, AsJson, Output, chosen, print_list, print_object
from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.flags.known import known_flag
from sorafeed_assets.domain.text import counted

if TYPE_CHECKING:
    from collections.abc import Collection

    from rich.console import Console
    from sqlalchemy import Engine

    from sorafeed_assets.services.flags import FlagChange, Flags

flags = typer.Typer(no_args_is_help=True)

_SHOWN = 20

Flag = Annotated[str, typer.Argument(help="The flag; see `sorafeed flags list`.")]
Why = Annotated[str, typer.Option("--why", help="The reason, for the history.")]


def _flags(engine: "Engine") -> "Flags":
    from sorafeed_assets.services.flags import Flags

    return Flags(engine)


def actor(command: str) -> str:
    """The command as the history names it, with the user who calls it."""
    try:
        return f"{command} ({getpass.getuser()})"
    except (KeyError, OSError):  # a container's user may have no name
        return command


@flags.command("list")
def show(as_json: AsJson = False, output: As = None, data_dir: DataDir = None) -> None:
    """List all flags: what they decide, and how their values are spread."""
    how = chosen(output, as_json)
    with database(data_dir) as (engine, _settings):
        values = _flags(engine).now()
    rows = [
        (
            flag.key,
            values.summary(flag.key),
            values.definition_version(flag.key) or None,
            flag.description,
            ", ".join(flag.values),
        )
        for flag in values.known.values()
    ]
    print_list(("flag", "now", "version", "decides", "values"), rows, how)


@flags.command("set")
def change(
    flag: Flag,
    why: Why,
    value: Annotated[str | None, typer.Argument(help="The new value.")] = None,
    share: Annotated[
        float | None, typer.Option(help="Only for this share of the displays, in percent.")
    ] = None,
    display: Annotated[
        list[str] | None, typer.Option(help="Only for this display; can be repeated.")
    ] = None,
    keep: Annotated[
        bool | None,
        typer.Option("--keep/--no-keep", help="Keep displays in a share when it shrinks."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A definition in flagd's JSON."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Set a flag for all displays, for a share of them, or for some by name.

    Displays whose value changes are settled by `sorafeed react` at once.
    """
    by = actor("sorafeed flags set")
    definition = None if file is None else _read(file)
    given = [share is not None, bool(display), definition is not None]
    if sum(given) > 1 or (value is None) is (definition is None):
        raise InvalidInputError(
            "value", "is needed, with at most one of --share and --display; or --file alone"
        )
    if keep is not None and share is None:
        raise InvalidInputError(
            "keep", "applies to a share; give --share too, or leave out --keep and --no-keep"
        )
    with database(data_dir) as (engine, _settings):
        found = _flags(engine)
        with engine.begin() as connection:
            if definition is not None:
                done = found.set_definition(connection, flag, definition, by=by, why=why)
            elif share is not None:
                done = found.set_share(
                    connection, flag, share, value=value, keep=keep, by=by, why=why
                )
            elif display:
                codes = [code.upper() for code in display]
                done = found.set_displays(connection, flag, codes, value or "", by=by, why=why)
            else:
                done = found.set_all(connection, flag, value or "", by=by, why=why)
        summary = found.at_once().summary(flag)
    _print_change(done, summary)


def _read(file: Path) -> object:
    try:
        return json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise InvalidInputError(str(file), f"is not JSON: {error}") from error


def _print_change(done: "FlagChange", summary: str) -> None:
    if done.version is None:
        console.print(f"{done.flag} already has this value: {escape(summary)}", soft_wrap=True)
        print_kept(done.kept, console)
        return
    console.print(f"{done.flag} version {done.version}: {escape(summary)}", soft_wrap=True)
    changed = [f"{code}: {old} → {new}" for code, (old, new) in sorted(done.displays.items())]
    for line in changed[:_SHOWN]:
        console.print(line, markup=False, highlight=False)
    if len(changed) > _SHOWN:
        console.print(f"and {len(changed) - _SHOWN:,} more")
    displays = counted(len(changed), "display")
    console.print(f"{displays} {'has' if len(changed) == 1 else 'have'} a new value now")
    print_kept(done.kept, console)


def print_kept(kept: "Collection[str]", out: "Console") -> None:
    """Say which displays stay in a share that no longer reaches them, and how they leave it."""
    if kept:
        shown = [*sorted(kept)[:_SHOWN], *(["…"] if len(kept) > _SHOWN else [])]
        stay = "stays" if len(kept) == 1 else "stay"
        out.print(
            f"{counted(len(kept), 'display')} {stay} in, as the flag keeps them:"
            f" {', '.join(shown)}; `sorafeed flags set` takes them out by --share and --no-keep",
            markup=False,
            soft_wrap=True,
        )


@flags.command("why")
def explain(
    flag: Flag,
    display: Annotated[str, typer.Argument(help="The display's code.")],
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show which value a display has, and why."""
    with database(data_dir) as (engine, _settings):
        reason = _flags(engine).why(flag, display.upper())
    if as_json:
        print_object(
            {
                "flag": flag,
                "display": reason.display_id,
                "value": reason.value,
                "why": reason.text,
                "version": reason.version,
            }
        )
        return
    console.print(
        f"{flag} of {reason.display_id} is {reason.value}: {reason.text}"
        + (f" (version {reason.version})" if reason.version else ""),
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


@flags.command("history")
def history(
    flag: Annotated[str | None, typer.Argument(help="Only this flag.")] = None,
    most: Annotated[int, typer.Option(min=1, help="How many changes to show.")] = 20,
    as_json: AsJson = False,
    output: As = None,
    data_dir: DataDir = None,
) -> None:
    """Show who changed what, when and why, the newest first."""
    how = chosen(output, as_json)
    with database(data_dir) as (engine, _settings):
        found = _flags(engine)
        if flag is not None:
            known_flag(flag, found.known)
        with engine.connect() as connection:
            rows = found.history(connection, flag, most)
    if how is Output.JSON:
        shown = [{**each._asdict(), "changed_at": each.changed_at.isoformat()} for each in rows]
        typer.echo(json.dumps(shown, indent=2))
        return
    changes = [
        (each.changed_at, each.flag, each.version, each.changed_by, each.reason, each.displays)
        for each in rows
    ]
    print_list(("changed_at", "flag", "version", "changed_by", "reason", "displays"), changes, how)
