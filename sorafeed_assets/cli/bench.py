"""`sorafeed bench`."""

import json
from typing import Annotated

import typer

from sorafeed_assets.bench.names import Benchmark
from sorafeed_assets.cli.common import Bars, DataDir, console, say, settings_of
from sorafeed_assets.cli.output import AsJson

_STATEMENT_SECONDS = 3_600


def bench(
    which: Annotated[Benchmark, typer.Argument(help="What to measure.")],
    posts: Annotated[int, typer.Option(help="Posts of the catalogue.")] = 3_100_000,
    terms: Annotated[int, typer.Option(min=1, help="Tracked terms, in three formats each.")] = 200,
    displays: Annotated[int, typer.Option(min=1, max=10_000, help="How many displays.")] = 1_000,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same posts.")] = 1,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Measure the engine beside the system it replaces, on servers and a catalogue of its own.

    The catalogue is kept in the folder `bench` of the data folder, and reused by later runs.
    """
    from sorafeed_assets.bench.catalogue import Scale
    from sorafeed_assets.bench.report import markdown
    from sorafeed_assets.bench.run import run as run_benchmark
    from sorafeed_assets.launch import data_folder

    settings = settings_of(data_dir).model_copy(
        # The baseline must not be cut short by a statement time-out.
        update={"statement_timeout_seconds": _STATEMENT_SECONDS}
    )
    folder = data_folder.prepare(settings.data_dir / "bench")
    scale = Scale(posts=posts, terms=terms, displays=displays, seed=seed)
    with data_folder.owned(folder), Bars() as bars:
        results = run_benchmark(which, folder, settings, scale, bars)
    if as_json:
        rows = [row.as_json() for row in results.rows]
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        console.print(markdown(results.rows), markup=False, highlight=False, soft_wrap=True)
    for name in results.plots:
        say(f"plotted: {folder / name}.png")
