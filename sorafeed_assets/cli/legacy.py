"""`sorafeed legacy`: the old system beside this one."""

import json
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from sorafeed_assets.cli import exits
from sorafeed_assets.cli.common import Bars, DataDir, console, database, redis_of, settings_of
from sorafeed_assets.cli.output import As, AsJson, Output, chosen, print_list
from sorafeed_assets.domain.errors import InvalidInputError, SetupError, UnavailableError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from sorafeed_assets.domain.legacy.queues import Problem
    from sorafeed_assets.services.legacy.check import Finding
    from sorafeed_assets.services.legacy.status import CatalogStatus, LegacyStatus, QueuesStatus
    from sorafeed_assets.services.settle import Settler
    from sorafeed_assets.settings import Settings

legacy = typer.Typer(no_args_is_help=True)


def sides(settings: "Settings") -> tuple[str | None, Path | None]:
    """The address of the old catalogue and the file of the old queues.

    Raises:
        SetupError: neither is set.
    """
    if settings.legacy_catalog_url is None and settings.legacy_queues is None:
        raise SetupError(
            "no old system is named; set SORAFEED_LEGACY_CATALOG_URL to its PostgreSQL and"
            " SORAFEED_LEGACY_QUEUES to its SQLite file, or one of them"
        )
    url = settings.legacy_catalog_url
    return None if url is None else str(url), settings.legacy_queues


@legacy.command("check")
def check(as_json: AsJson = False, output: As = None, data_dir: DataDir = None) -> None:
    """Check the old system, and print what can be imported; nothing is written."""
    from sorafeed_assets.services.legacy.check import check_catalog, check_queues

    how = chosen(output, as_json)
    findings: list[Finding] = []
    with _old_side_runs(settings_of(data_dir)) as settings:
        url, path = sides(settings)
        if url is not None:
            findings += check_catalog(url, settings.catalog_first_day)
        if path is not None:
            findings += check_queues(path)
    if how is not Output.TABLE:
        rows = [(each.side, each.is_problem, each.text) for each in findings]
        print_list(("side", "is_problem", "text"), rows, how)
    for finding in findings if how is Output.TABLE else ():
        mark = "[bold red]problem[/]" if finding.is_problem else "found"
        console.print(f"{finding.side}: {mark}: {escape(finding.text)}", soft_wrap=True)
    if any(finding.is_problem for finding in findings):
        raise typer.Exit(exits.FAILED)


@contextmanager
def _old_side_runs(settings: "Settings") -> "Iterator[Settings]":
    """Run the data folder's own server if the old catalogue is on it; no other one is needed."""
    from sorafeed_assets.launch.servers import old_side_is_own, servers

    if old_side_is_own(settings):
        with servers(settings) as settings:
            yield settings
    else:
        yield settings


@legacy.command("import")
def import_all(data_dir: DataDir = None) -> None:
    """Import everything once, and compare it; after an interruption, run it again to continue."""
    from sorafeed_assets.services.settle import Settler
    from sorafeed_assets.storage.legacy.old_queues import old_queues

    url, _ = sides(settings_of(data_dir))
    # An interrupted copy continues without the indexes that it builds at its end.
    with (
        database(data_dir, with_indexes=url is None) as (engine, settings),
        redis_of(settings) as redis,
    ):
        url, path = sides(settings)
        if path is not None:
            # Refused before the catalogue is copied, which may take minutes.
            with old_queues(path):
                pass
        if url is not None:
            _import_catalog(engine, url)
        problems: Sequence[Problem] = []
        if path is not None:
            problems = _import_queues(engine, Settler.of(engine, redis, settings), path)
    for problem in problems:
        _print_problem(problem)
    if any(problem.kind in {"refused", "conflict"} for problem in problems):
        raise typer.Exit(exits.FAILED)


def _import_catalog(engine: "Engine", url: str) -> None:
    from sorafeed_assets.services.legacy.catalog import import_catalog
    from sorafeed_assets.services.legacy.reconcile import parts, reconcile
    from sorafeed_assets.storage.legacy.old_catalog import old_catalog

    with old_catalog(url) as old, Bars() as bars:
        copied = import_catalog(engine, old, bars)
        compared = parts(engine, old)
        repaired = 0
        for number, part in enumerate(compared):
            repaired += reconcile(engine, old, part).repaired
            bars("Comparing", number + 1, len(compared))
    console.print(
        f"{copied.posts:,} posts and {copied.creators:,} creators copied;"
        f" {len(compared)} parts compared, {repaired:,} rows repaired"
    )


def _import_queues(engine: "Engine", settler: "Settler", path: Path) -> "Sequence[Problem]":
    from sorafeed_assets.services.legacy.queues import import_queues, settle_imported
    from sorafeed_assets.storage.legacy.old_queues import old_queues

    with old_queues(path) as file:
        done = import_queues(engine, file, path, with_posts=True)
    settle_imported(engine, settler, done.changed)
    for what, found in done.found.items():
        console.print(f"{what}: {found:,} found, {done.written[what]:,} written")
    console.print(f"{done.written['posts']:,} posts copied that only the old queues had")
    return done.problems


def _print_problem(problem: "Problem") -> None:
    text = f"{problem.kind}: {problem.place}: {problem.problem}"
    console.print(text, markup=False, highlight=False, soft_wrap=True)


@legacy.command("follow")
def follow(data_dir: DataDir = None) -> None:
    """Follow the old system until Ctrl-C: posts every second, queues when they are written."""
    from sorafeed_assets.launch.legacy import Follow
    from sorafeed_assets.launch.react import log_plainly

    url, _ = sides(settings_of(data_dir))
    # Those that an interrupted copy left are built by the next one, at its end.
    with (
        database(data_dir, with_indexes=url is None) as (engine, settings),
        redis_of(settings) as redis,
    ):
        log_plainly()
        following = Follow(settings, engine, redis)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: following.stop())
        following.run()


@legacy.command("export-plays")
def export(
    file: Annotated[Path, typer.Argument(dir_okay=False, help="The new SQLite file.")],
    since: Annotated[
        str | None, typer.Option(help="Only plays since then: ISO 8601 with a time zone, or UTC.")
    ] = None,
    display: Annotated[
        list[str] | None, typer.Option(help="Only plays of this display; can be repeated.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Write the plays that this system showed to a new SQLite file of the old shape."""
    from sorafeed_assets.services.legacy.export import export_plays

    try:
        # As the command prints times itself, too.
        moment = None if since is None else datetime.fromisoformat(since.replace(" UTC", "+00:00"))
    except ValueError:
        raise InvalidInputError(
            "since", f"is {since!r}; write it as 2026-11-25T10:00:00+00:00"
        ) from None
    with database(data_dir, with_indexes=False) as (engine, settings):
        codes = [code.upper() for code in display or ()]
        old = settings.legacy_queues
        written = export_plays(engine, file, since=moment, display_ids=codes, old=old)
    plays = f"{written:,} play{'' if written == 1 else 's'}"
    console.print(f"{plays} written to {file}", soft_wrap=True)


@legacy.command("status")
def status(
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show how far behind each side is, and what differs; fail if one cannot be read."""
    from sorafeed_assets.services.legacy.status import legacy_status

    with database(data_dir, with_indexes=False) as (engine, settings):
        found = legacy_status(engine, *sides(settings))
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2))
    else:
        _print_status(found)
    if found.unreadable:
        raise UnavailableError("\n".join(found.unreadable))


def _print_status(found: "LegacyStatus") -> None:
    table = Table("what", "figure", show_header=False)
    if found.catalog is not None:
        _add_catalog(table, found.catalog)
    if found.queues is not None:
        _add_queues(table, found.queues)
    console.print(table)
    if found.catalog is not None:
        for part in found.catalog.differing:
            console.print(
                f"{part.part}: {part.old_rows:,} rows there, {part.our_rows:,} here;"
                f" {part.missing:,} missing and {part.changed:,} changed ones copied again,"
                f" {part.only_here:,} only here"
            )
    if found.queues is not None:
        for problem in found.queues.problems:
            _print_problem(problem)


def _add_catalog(table: Table, catalog: "CatalogStatus") -> None:
    if catalog.problem is not None:
        table.add_row("old catalogue", "[red]cannot be read[/]")
    table.add_row("first copy", "complete" if catalog.is_copied else "not complete")
    for what, at in (
        ("copied to", catalog.copied_to),
        ("newest there", catalog.newest),
        ("last read", catalog.looked_at),
    ):
        table.add_row(what, "never" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC")
    table.add_row("posts waiting", "unknown" if catalog.waiting is None else f"{catalog.waiting:,}")
    table.add_row(
        "comparisons",
        f"{catalog.compared} parts, {catalog.repaired:,} rows repaired,"
        f" {catalog.only_here:,} only here",
    )


def _add_queues(table: Table, queues: "QueuesStatus") -> None:
    if queues.problem is not None:
        table.add_row("old queues", "[red]cannot be read[/]")
    for what, at in (("queues imported", queues.imported_at), ("queues read", queues.looked_at)):
        table.add_row(what, "never" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC")
    since = "no" if queues.is_current else "yes" if queues.problem is None else "unknown"
    table.add_row("written since", since)
    for what in ("displays", "playlists", "plays"):
        if what in queues.found:
            table.add_row(f"{what} there", f"{queues.found[what]:,}")
    table.add_row("problems", f"{len(queues.problems)}")
