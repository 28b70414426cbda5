"""`sorafeed cutover`: switching displays from the old system to this one, and back."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from sorafeed_assets.cli import exits
from sorafeed_assets.cli.common import DataDir, console, database, errors, redis_of
from sorafeed_assets.cli.flags import actor, print_kept
from sorafeed_assets.cli.legacy import sides
from sorafeed_assets.cli.output import As, AsJson, Output, chosen, print_list
from sorafeed_assets.domain.text import counted

if TYPE_CHECKING:
    from sorafeed_assets.domain.shadow.gate import Gate
    from sorafeed_assets.services.legacy.cutover import Cutover


def cutover(
    display: Annotated[list[str] | None, typer.Argument(help="Displays by their codes.")] = None,
    share: Annotated[
        float | None, typer.Option(help="A share of all displays, in percent, instead.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only show what would change, and why not.")
    ] = False,
    back: Annotated[
        bool, typer.Option("--back", help="Let the old system drive these displays again.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Switch in spite of problems.")] = False,
    why: Annotated[str, typer.Option("--why", help="The reason, for the history.")] = "cutover",
    as_json: AsJson = False,
    output: As = None,
    data_dir: DataDir = None,
) -> None:
    """Switch displays to this system, unless a check finds a reason against it."""
    from sorafeed_assets.services.legacy.cutover import Switch
    from sorafeed_assets.services.legacy.queues import settle_imported
    from sorafeed_assets.services.settle import Settler
    from sorafeed_assets.services.shadow.report import shadow_report
    from sorafeed_assets.services.timelines.driving import Driver
    from sorafeed_assets.services.timelines.service import TimelineService

    how = chosen(output, as_json)
    # Sentences are not part of what a program reads.
    out = console if how is Output.TABLE else errors
    then = Driver.OLD if back else Driver.NEW
    codes = [code.upper() for code in display or ()]
    with database(data_dir) as (engine, settings), redis_of(settings) as redis:
        timelines = TimelineService(
            engine, window=settings.window, candidates_per_pool=settings.candidates_per_pool
        )
        switch = Switch(engine, timelines, *sides(settings))
        found = switch.check(codes, share, then)
        _print(found, how, out)
        if not back and settings.legacy_catalog_url is not None:
            _print_gate(shadow_report(engine, settings.shadow_gate_days).gate, out)
        if check:
            raise typer.Exit(exits.OK if found.is_ready else exits.FAILED)
        if not found.is_ready and not force:
            out.print("nothing was switched; solve these problems, or use --force")
            raise typer.Exit(exits.FAILED)
        by = actor("sorafeed cutover")
        change = switch.switch(codes, share, then, by=by, why=why)
        settle_imported(engine, Settler.of(engine, redis, settings), sorted(change.displays))
    out.print(f"{counted(len(change.displays), 'display')} switched")
    left = sorted(code for code, (old, _) in change.displays.items() if old == Driver.NEW)
    if left:
        out.print(
            "to give their plays to the old system: `sorafeed legacy export-plays FILE"
            f" {' '.join(f'--display {code}' for code in left)}`",
            markup=False,
            soft_wrap=True,
        )


def _print(found: "Cutover", how: Output, out: Console) -> None:
    from sorafeed_assets.services.timelines.driving import Driver

    rows = [
        (
            each.display_id,
            each.now if each.now is each.then else f"{each.now} → {each.then}",
            each.queued if each.now is not each.then is Driver.NEW else None,
            each.played_until,
            "; ".join(each.problems) or "none",
        )
        for each in found.displays
    ]
    print_list(("display", "driver", "queued", "plays_imported_until", "problems"), rows, how)
    if found.by_name:
        named = ", ".join(f"{code} ({driver})" for code, driver in found.by_name.items())
        out.print(f"set by name, so in no share: {named}", soft_wrap=True)
    print_kept(found.kept, out)
    catalog, queues = found.status.catalog, found.status.queues
    if catalog is not None and catalog.problem is None:
        waiting = "unknown" if catalog.waiting is None else f"{catalog.waiting:,}"
        out.print(f"posts waiting to be copied: {waiting}")
    if queues is not None and queues.imported_at is not None:
        out.print(f"old queues imported at {queues.imported_at:%Y-%m-%d %H:%M:%S} UTC")
    for problem in found.problems:
        out.print(f"problem: {problem}", markup=False, highlight=False, soft_wrap=True)


def _print_gate(gate: "Gate", out: Console) -> None:
    state = "open" if gate.is_open else "closed"
    out.print(f"gate of `sorafeed shadow report`: {state}: {gate.reason}", soft_wrap=True)
