"""`sorafeed displays`, `sorafeed playlists` and `sorafeed timeline`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from rich.markup import escape
from rich.table import Column, Table

from sorafeed_assets.cli.common import DataDir, console, database, redis_of
from sorafeed_assets.domain.errors import InvalidInputError, PlanAuditError
from sorafeed_assets.domain.playlists.csv_import import parse_playlist_csv
from sorafeed_assets.services.commands import Change, Commands
from sorafeed_assets.services.playlists.editing import list_displays, list_playlists
from sorafeed_assets.services.timelines.queues import timeline_view
from sorafeed_assets.services.timelines.service import TimelineService

displays = typer.Typer(help="Screens on walls.", no_args_is_help=True)
playlists = typer.Typer(help="What displays are told to play.", no_args_is_help=True)
timeline = typer.Typer(help="What a display plays.", no_args_is_help=True)


@contextmanager
def _commands(data_dir: Path | None) -> Iterator[Commands]:
    """The changes that the API makes too, on the servers of ``data_dir``."""
    with database(data_dir) as (engine, settings), redis_of(settings) as redis:
        timelines = TimelineService(
            engine, window=settings.window, candidates_per_pool=settings.candidates_per_pool
        )
        yield Commands(
            engine,
            redis,
            timelines,
            ttl=settings.cache_ttl_seconds,
            pool_size=settings.candidates_per_pool,
        )


def _queued(commands: Commands, change: Change) -> str:
    """How many videos are planned and queued.

    Raises:
        PlanAuditError: the display stays on its last good plan.
    """
    if change.problem is not None:
        raise PlanAuditError(
            f"it is stored, but {change.display_id} cannot play it: {change.problem}"
        )
    view = commands.timeline(change.display_id)
    ahead = [*([view.now] if view.now else []), *view.next]
    return f"{len(ahead) + len(view.planned)} videos planned, {len(ahead)} queued"


@displays.command("add")
def add_display(
    name: Annotated[str, typer.Argument(help="A name for people.")],
    code: Annotated[
        str | None, typer.Option(help="6 characters of A-Z and 0-9; made up by default.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Add a display; prints its code."""
    with _commands(data_dir) as commands:
        console.print(commands.create_display(code, name))


@displays.command("list")
def show_displays(data_dir: DataDir = None) -> None:
    """All displays and the playlist each one plays."""
    table = Table("code", "name", "status", "active playlist", "playlists")
    with database(data_dir) as (engine, _settings):
        for display in list_displays(engine):
            table.add_row(
                display.id,
                escape(display.name),
                display.status,
                escape(display.active_playlist or "none"),
                str(display.playlists),
            )
    console.print(table)


@playlists.command("import")
def import_playlist(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A CSV file.")],
    display: Annotated[str, typer.Option(help="The display's code.")],
    name: Annotated[str | None, typer.Option(help="The file's name by default.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Make a playlist of a CSV with search_term, video_count, fetch_mode and format; it plays
    at once.
    """
    try:
        drafts = parse_playlist_csv(file.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise InvalidInputError(str(file), "is not UTF-8; save it as CSV UTF-8") from error
    with _commands(data_dir) as commands:
        change = commands.create_playlist(display, name or file.stem, drafts)
        queued = _queued(commands, change)
    console.print(
        f"playlist {change.playlist_id} with {len(drafts)} blocks is active on {display}: {queued}"
    )


@playlists.command("list")
def show_playlists(
    display: Annotated[str | None, typer.Option(help="Only this display's.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Playlists, the active ones marked."""
    table = Table(
        Column("id", no_wrap=True), "display", "name", "active", "blocks", "videos", "created"
    )
    with database(data_dir) as (engine, _settings):
        for playlist in list_playlists(engine, display):
            table.add_row(
                str(playlist.id),
                playlist.display_id,
                escape(playlist.name),
                "active" if playlist.is_active else "",
                str(playlist.blocks),
                str(playlist.videos),
                f"{playlist.created_at:%Y-%m-%d %H:%M}",
            )
    console.print(table)


@playlists.command("activate")
def activate(
    playlist: Annotated[UUID, typer.Argument(help="The playlist's id.")], data_dir: DataDir = None
) -> None:
    """Choose a playlist by hand; it stays chosen until a newer one is created."""
    with _commands(data_dir) as commands:
        change = commands.activate(playlist)
        queued = _queued(commands, change)
    console.print(f"{change.display_id} plays it: {queued}")


@timeline.command("show")
def show_timeline(
    code: Annotated[str, typer.Argument(help="The display's code.")], data_dir: DataDir = None
) -> None:
    """What plays now and next, and the plan ahead with the reason of each pick."""
    with database(data_dir) as (engine, _settings):
        view = timeline_view(engine, code)
    table = Table("", "loop", "position", "search", "post", "reason", title=f"{code}: what plays")
    for mark, picks in (
        ("now", [view.now] if view.now else []),
        ("next", view.next),
        ("", view.planned),
    ):
        for pick in picks:
            table.add_row(
                mark,
                str(pick.loop),
                str(pick.position),
                escape(pick.search_term),
                escape(pick.video_id),
                pick.tier,
            )
    console.print(table)
    for term in view.dry_blocks.values():
        console.print(f"no post matches {term!r}: its block is dry", markup=False)
