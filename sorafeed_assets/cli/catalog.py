"""`sorafeed seed` and `sorafeed counts`."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from sorafeed_assets.cli.common import Bars, DataDir, console, database
from sorafeed_assets.cli.output import As, AsJson, Output, chosen, print_list
from sorafeed_assets.domain.catalog.search import Format

counts = typer.Typer(no_args_is_help=True)


def seed(
    posts: Annotated[int, typer.Option(min=1, help="Total number of posts.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same posts.")] = 1,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day; up to now by default.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Fill the catalogue with generated posts; existing rows are kept."""
    from sorafeed_assets.demo.seed import seed_catalog

    last = until.date() if until else datetime.now(UTC)
    with database(data_dir) as (engine, settings), Bars() as bars:
        summary = seed_catalog(
            engine,
            posts=posts,
            seed=seed,
            until=last,
            first_day=settings.catalog_first_day,
            on_progress=lambda done, total: bars("Loading posts", done, total),
            on_indexes=lambda done, total: bars("Building indexes", done, total),
        )
    console.print(
        f"{summary.inserted:,} of {summary.posts:,} posts inserted over {summary.days} days"
        f" in {summary.seconds:.1f} s"
    )


@counts.command("show")
def show_counts(as_json: AsJson = False, output: As = None, data_dir: DataDir = None) -> None:
    """Show the counts of every tracked term; one that is not counted yet is shown as unknown."""
    from sorafeed_assets.storage.counts.terms import tracked
    from sorafeed_assets.storage.counts.totals import read_totals
    from sorafeed_assets.storage.postgres.engine import snapshot

    how = chosen(output, as_json)
    with (
        database(data_dir) as (engine, _settings),
        snapshot(engine, read_only=True) as connection,
    ):
        totals, terms = read_totals(connection), tracked(connection)
    unknown = "unknown" if how is Output.TABLE else None
    rows = [
        [term, *(totals.get((term, format_.value), unknown) for format_ in Format)]
        for term in terms
    ]
    columns = ["search", *(format_.value for format_ in Format)]
    print_list(columns, rows, how, title="Matching posts")
