"""`sorafeed displays`, `sorafeed playlists` and `sorafeed timeline`."""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from rich.markup import escape
from rich.table import Column, Table
from sqlalchemy import Engine

from sorafeed_assets.cli.common import DataDir, console, database
from sorafeed_assets.domain.errors import InvalidInputError, SorafeedError
from sorafeed_assets.domain.playlists.csv_import import parse_playlist_csv
from sorafeed_assets.services.cache.write import write_timeline_cache
from sorafeed_assets.services.commands import TERMS_TAG, WALL_TAG, tell_others
from sorafeed_assets.services.counts.terms import sync_search_terms
from sorafeed_assets.services.playlists.editing import (
    activate_by_hand,
    activate_pending,
    create_display,
    create_playlist,
    list_displays,
    list_playlists,
)
from sorafeed_assets.services.timelines.queues import timeline_view
from sorafeed_assets.services.timelines.rebuild import BuildOutcome
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.settings import Settings
from sorafeed_assets.storage.cache.redis import create_redis_client, display_tag

displays = typer.Typer(help="Screens on walls.", no_args_is_help=True)
playlists = typer.Typer(help="What displays are told to play.", no_args_is_help=True)
timeline = typer.Typer(help="What a display plays.", no_args_is_help=True)


def _publish(engine: Engine, settings: Settings, display: str) -> BuildOutcome:
    """Plan and queue a display, track its searches, and write its snapshot.

    The playlists sensor records it in Dagster.
    """
    service = TimelineService(
        engine, window=settings.window, candidates_per_pool=settings.candidates_per_pool
    )
    outcome = service.repopulate([display])[display]
    if isinstance(outcome, SorafeedError):
        raise outcome
    changed = sync_search_terms(engine)
    _tell(settings, [display_tag(display), *([TERMS_TAG] if changed.is_change else [])])
    if settings.redis_url is not None:
        with create_redis_client(str(settings.redis_url)) as redis:
            write_timeline_cache(engine, redis, [display], ttl=settings.cache_ttl_seconds)
    return outcome


def _tell(settings: Settings, tags: list[str]) -> None:
    """Tell the servers what changed; they hear nothing where there is no Redis."""
    if settings.redis_url is not None:
        with create_redis_client(str(settings.redis_url)) as redis:
            tell_others(redis, tags)


@displays.command("add")
def add_display(
    name: Annotated[str, typer.Argument(help="A name for people.")],
    code: Annotated[
        str | None, typer.Option(help="6 characters of A-Z and 0-9; made up by default.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Add a display; prints its code."""
    with database(data_dir) as (engine, settings):
        made = create_display(engine, code, name)
        _tell(settings, [display_tag(made), WALL_TAG])
        console.print(made)


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
    with database(data_dir) as (engine, settings):
        playlist = create_playlist(engine, display, name or file.stem, drafts)
        activate_pending(engine, [display])
        outcome = _publish(engine, settings, display)
    console.print(
        f"playlist {playlist} with {len(drafts)} blocks is active on {display}:"
        f" {outcome.planned} videos planned, {outcome.queued} queued"
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
    with database(data_dir) as (engine, settings):
        display = activate_by_hand(engine, playlist).display_id
        outcome = _publish(engine, settings, display)
    console.print(f"{display} plays it: {outcome.planned} planned, {outcome.queued} queued")


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
