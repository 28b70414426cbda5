"""`sorafeed demo`."""

import shlex
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from sorafeed_assets.cli.common import DataDir, errors, settings_of

demo = typer.Typer(no_args_is_help=True)


@demo.callback()
def _group() -> None:
    """Keep `demo` a group while it has one command."""


@demo.command("legacy")
def legacy(
    posts: Annotated[int, typer.Option(min=100, help="Posts of its catalogue.")] = 5_000,
    days: Annotated[int, typer.Option(min=1, max=60, help="Catalog days, up to yesterday.")] = 5,
    data_dir: DataDir = None,
) -> None:
    """Build a small old system beside this one, and print the settings that name it.

    Its PostgreSQL is another database on this project's server, which has to run while it is used.
    """
    from sorafeed_assets.demo.legacy import build_old_side
    from sorafeed_assets.launch import data_folder
    from sorafeed_assets.launch.servers import servers

    with servers(settings_of(data_dir)) as settings:
        side = build_old_side(
            str(settings.database_url),
            data_folder.prepare(settings.data_dir),
            posts=posts,
            days=days,
            until=datetime.now(UTC).date() - timedelta(days=1),
        )
    for name, value in (
        ("SORAFEED_LEGACY_CATALOG_URL", side.catalog_url),
        ("SORAFEED_LEGACY_QUEUES", str(side.queues)),
    ):
        typer.echo(f"export {name}={shlex.quote(value)}")
    errors.print(
        "Set these, and run `sorafeed up`, which follows this old system; or go step by step:"
        " docs/migration.md"
    )
