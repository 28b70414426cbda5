"""What a display would play if an edited playlist were saved: planned, and not written.

A preview is planned in a read-only snapshot of the database, by the display's planner. It
acquires no locks, so that neither players nor edits wait for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine

from sorafeed_assets.domain.errors import (
    DisplayNotFoundError,
    PlaylistNotFoundError,
    SorafeedError,
)
from sorafeed_assets.domain.flags.known import PLANNER
from sorafeed_assets.domain.playlists.playlist import Block, BlockDraft, Playlist, keep_blocks
from sorafeed_assets.domain.timelines.planners import planner_named
from sorafeed_assets.services.flags.changes import load_values
from sorafeed_assets.services.playlists.editing import check_drafts, check_new_ids
from sorafeed_assets.services.timelines.candidate_book import CandidateBook
from sorafeed_assets.services.timelines.last_plays import LastPlays
from sorafeed_assets.services.timelines.planning import (
    Planned,
    Task,
    plan_displays,
    plays_on,
    start_of,
)
from sorafeed_assets.services.timelines.views import TimelineView, ViewedPick, view_of, viewed
from sorafeed_assets.storage.playlists.rows import load_playlists
from sorafeed_assets.storage.postgres.engine import snapshot
from sorafeed_assets.storage.timelines.reads import load_builds, load_displays, load_queues


@dataclass(frozen=True, slots=True)
class Preview:
    """What saving a draft would give.

    Attributes:
        blocks: the draft's blocks, with the ids to save them under.
        videos: the first videos that would play, the one on screen first if it stays.
        now: the first videos that play without the change.
        dry_blocks: the blocks that no post matches, with their searches.
        starts_over: whether the display would begin with the playlist's first loop.
        loop: the loop of the first video, from 0.
        position: its position in the loop, from 0.
        same: how many of the first videos stay as they are.
        is_active: whether the display plays the playlist; others play when they are activated.
    """

    display_id: str
    blocks: tuple[Block, ...]
    videos: tuple[ViewedPick, ...]
    now: tuple[ViewedPick, ...]
    dry_blocks: Mapping[UUID, str]
    starts_over: bool
    loop: int
    position: int
    same: int
    is_active: bool


def preview(
    engine: Engine,
    display_id: str,
    playlist_id: UUID | None,
    drafts: Sequence[BlockDraft],
    *,
    first: int = 10,
    pool_size: int = 500,
) -> Preview:
    """Plan a display as if ``drafts`` were saved, and its playlist active; writes nothing.

    Args:
        engine: the database.
        display_id: the display.
        playlist_id: the playlist whose blocks they replace; None for a new playlist.
        drafts: the blocks to save. One without an id gets one, to be saved under.
        first: how many videos are wanted.
        pool_size: how many candidates of a query are read first.

    Raises:
        InvalidInputError: no blocks, or an id that another block has.
        NotFoundError: there is no such display, or it has no such playlist.
        SorafeedError: the draft cannot be planned.
    """
    check_drafts(drafts)
    with snapshot(engine, read_only=True) as connection:
        return _Preview(connection, display_id, first, pool_size).of(playlist_id, drafts)


class _Preview:
    """A preview in one snapshot."""

    def __init__(self, connection: Connection, display_id: str, first: int, pool_size: int) -> None:
        self._connection = connection
        self._first = first
        self._pool_size = pool_size
        display = load_displays(connection, [display_id]).get(display_id)
        if display is None:
            raise DisplayNotFoundError(display_id)
        self._display = display
        self._build = load_builds(connection, [display_id]).get(display_id)
        self._queue = load_queues(connection, [display_id]).get(display_id, [])

    def of(self, playlist_id: UUID | None, drafts: Sequence[BlockDraft]) -> Preview:
        display, build = self._display, self._build
        playlist = self._playlist(playlist_id, drafts)
        now = view_of(display, build, self._queue)
        planned = self._plan(playlist)
        result = planned.result
        terms = {block.id: block.search_term for block in playlist.blocks}
        picks = result.schedule.ahead(result.loop, result.position)[: self._first]
        videos = tuple(viewed(loop, pick, terms, "planned") for loop, pick in picks)
        goes_on = plays_on(build, playlist)
        before = now.ahead[: self._first]
        if goes_on and videos and before and _is_kept(videos[0], now):
            videos = (replace(videos[0], status="playing"), *videos[1:])
        dry = result.schedule.loops[0].dry_blocks if result.schedule.loops else ()
        return Preview(
            display.id,
            playlist.blocks,
            videos,
            before,
            {block: terms[block] for block in dry},
            starts_over=not goes_on,
            loop=result.loop,
            position=result.position,
            same=_same(videos, before) if goes_on else 0,
            is_active=playlist.is_active,
        )

    def _playlist(self, playlist_id: UUID | None, drafts: Sequence[BlockDraft]) -> Playlist:
        """The playlist as it would be stored."""
        code = self._display.id
        if playlist_id is None:
            # A new playlist becomes active at once; what it is called affects no plan.
            empty = Playlist(
                uuid4(), code, "new", datetime.now(UTC), is_active=True, is_new=True, blocks=()
            )
            return self._with_blocks(empty, drafts)
        for found in load_playlists(self._connection, [code]):
            if found.id == playlist_id:
                return self._with_blocks(found, drafts)
        raise PlaylistNotFoundError(playlist_id)

    def _with_blocks(self, playlist: Playlist, drafts: Sequence[BlockDraft]) -> Playlist:
        kept = keep_blocks(playlist.blocks, drafts)
        check_new_ids(self._connection, drafts, kept)
        return replace(playlist, blocks=_blocks(kept, drafts))

    def _plan(self, playlist: Playlist) -> Planned:
        connection, code = self._connection, self._display.id
        start = start_of(self._display, playlist, self._build, self._queue)
        planner = planner_named(load_values(connection).value(PLANNER, code))
        task = Task(code, playlist, start, self._first, planner)
        last_plays = LastPlays(connection, [code] if plays_on(self._build, playlist) else [])
        planned = plan_displays(connection, CandidateBook(self._pool_size), last_plays, [task])[
            code
        ]
        if isinstance(planned, SorafeedError):
            raise planned
        return planned


def _blocks(kept: Sequence[Block | None], drafts: Sequence[BlockDraft]) -> tuple[Block, ...]:
    return tuple(
        Block(
            stays.id if stays is not None else draft.id or uuid4(),
            draft.search_term,
            draft.video_count,
            draft.fetch_mode,
            draft.format,
            order,
        )
        for order, (draft, stays) in enumerate(zip(drafts, kept, strict=True))
    )


def _is_kept(video: ViewedPick, now: TimelineView) -> bool:
    return now.now is not None and (video.block_id, video.video_id) == (
        now.now.block_id,
        now.now.video_id,
    )


def _same(videos: Sequence[ViewedPick], now: Sequence[ViewedPick]) -> int:
    """How many of the first videos are the same, at the same positions."""
    same = 0
    for video, other in zip(videos, now, strict=False):
        if (video.loop, video.position, video.video_id) != (
            other.loop,
            other.position,
            other.video_id,
        ):
            break
        same += 1
    return same
