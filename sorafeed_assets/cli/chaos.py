"""`sorafeed chaos`."""

import json
from typing import Annotated

import typer

from sorafeed_assets.cli.common import Bars, DataDir, console, settings_of
from sorafeed_assets.cli.output import AsJson

_BROKEN = 1


def chaos(
    minutes: Annotated[float, typer.Option(min=0.1, help="How long faults are injected.")] = 5.0,
    kills: Annotated[int, typer.Option(min=0, help="How many processes are killed.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="The same seed plans the same faults.")] = 1,
    displays: Annotated[int, typer.Option(min=1, max=1_000, help="How many players play.")] = 100,
    posts: Annotated[int, typer.Option(min=100, help="Posts of the demo catalogue.")] = 20_000,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Kill, stop and starve a wall that plays, on servers of its own; then check everything.

    It uses the folder `chaos` of the data folder, which is emptied first. The exit code is 1 when
    something was lost, doubled or broken.
    """
    from sorafeed_assets.chaos.run import Scale
    from sorafeed_assets.chaos.run import run as run_chaos
    from sorafeed_assets.launch import data_folder
    from sorafeed_assets.launch.up import stop_on_signals

    folder = data_folder.prepare(settings_of(data_dir).data_dir / "chaos")
    with data_folder.owned(folder), stop_on_signals() as stop, Bars() as bars:
        outcome = run_chaos(folder, Scale(minutes, kills, seed, displays, posts), bars, stop)
    if as_json:
        typer.echo(json.dumps(outcome.as_json(), indent=2, ensure_ascii=False))
    else:
        console.print(outcome.markdown(), markup=False, highlight=False, soft_wrap=True)
    if not outcome.is_well:
        raise typer.Exit(_BROKEN)
