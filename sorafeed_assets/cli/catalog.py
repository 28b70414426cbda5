"""`sorafeed seed` and `sorafeed counts`."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from sorafeed_assets.cli.common import Bars, DataDir, console, database
from sorafeed_assets.demo.seed import seed_catalog
from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.services.counts.reads import term_totals
from sorafeed_assets.services.counts.terms import tracked_terms

counts = typer.Typer(no_args_is_help=True)


def seed(
    posts: Annotated[int, typer.Option(min=1, help="Total number of posts.")],
    seed: Annotated[int, typer.Option(help="The same seed and day give the same rows.")] = 1,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day; today by default.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Fill the catalogue with generated posts; existing rows are kept."""
    last = until.date() if until else datetime.now(UTC).date()
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
def show_counts(data_dir: DataDir = None) -> None:
    """Show the counts of every tracked term; one that is not counted yet is shown as unknown."""
    with database(data_dir) as (engine, _settings):
        totals = term_totals(engine)
        terms = tracked_terms(engine)
    table = Table("search", title="Matching posts")
    for format_ in Format:
        table.add_column(format_.value, justify="right")
    for term in terms:
        cells = [totals.get((term, format_.value)) for format_ in Format]
        table.add_row(escape(term), *("unknown" if c is None else f"{c:,}" for c in cells))
    console.print(table)
