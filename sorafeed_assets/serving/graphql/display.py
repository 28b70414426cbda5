"""The GraphQL type of a display, with its lists."""

from datetime import UTC, datetime
from typing import Annotated

import strawberry

from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.paging import PageList, check_first
from sorafeed_assets.services.commands import PlaybackState
from sorafeed_assets.services.playlists.timetables import timetable_of
from sorafeed_assets.services.records import DisplayRecord, Page
from sorafeed_assets.services.timelines.history import PlayFilter
from sorafeed_assets.services.timelines.remote import Report, read_remote
from sorafeed_assets.services.timelines.views import ViewedPick
from sorafeed_assets.services.tokens import tokens_of
from sorafeed_assets.serving.graphql.connections import connection
from sorafeed_assets.serving.graphql.context import Info
from sorafeed_assets.serving.graphql.timetables import Timetable
from sorafeed_assets.serving.graphql.types import (
    After,
    Build,
    Connection,
    First,
    PlannedVideo,
    Play,
    Playlist,
)
from sorafeed_assets.serving.ids import parse_id
from sorafeed_assets.storage.cache.redis import TOKENS_TAG


@strawberry.type(description="A block that no post matches.")
class DryBlock:
    block_id: strawberry.ID
    search: str


@strawberry.type(description="What a player last reported.")
class PlayerReport:
    view: str = strawberry.field(description="waiting, playing, paused, stopped or refused.")
    is_muted: bool
    volume: int = strawberry.field(description="In percent.")
    since: datetime = strawberry.field(description="When it last reported a change.")
    seconds: float | None = strawberry.field(
        description="Where it was in the video on screen; null when nothing is on screen."
    )
    at: datetime | None = strawberry.field(
        description="When it was at this position; while it is playing, the position advances."
    )
    duration: float | None = strawberry.field(
        description="The length of that video, in seconds; null until it is known."
    )

    @classmethod
    def of(cls, report: Report) -> "PlayerReport":
        """Build the API's report."""
        return cls(
            view=report.view,
            is_muted=report.is_muted,
            volume=report.volume,
            since=report.since,
            seconds=report.seconds,
            at=report.at,
            duration=report.duration,
        )


@strawberry.type(description="The sound settings of a display, and what its player reports.")
class Remote:
    is_muted: bool
    volume: int = strawberry.field(description="In percent.")
    report: PlayerReport | None = strawberry.field(
        description="Null until a player has reported; it may be old while the display is offline."
    )


@strawberry.type(description="The token of a screen, or of a link, that plays a display.")
class Screen:
    token_id: strawberry.ID
    name: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


@strawberry.type(description="A screen that plays a playlist.")
class Display:
    record: strawberry.Private[DisplayRecord]
    id: strawberry.ID
    name: str
    created_at: datetime
    is_online: bool = strawberry.field(
        description="Whether its player made a request within the last minute."
    )
    last_seen: datetime | None
    playback_state: PlaybackState
    queued: int = strawberry.field(description="How many videos are queued.")
    loop: int
    position: int
    build_id: strawberry.ID | None
    built_at: datetime | None
    tags: list[str] = strawberry.field(
        description="The tags of the display: words by which it is selected."
    )

    @strawberry.field
    async def active_playlist(self, info: Info) -> Playlist | None:
        if self.record.active_playlist_id is None:
            return None
        found = await info.context.playlists.load(self.record.active_playlist_id)
        return None if found is None else Playlist.of(found)

    @strawberry.field(description="The display's playlists, the newest first.")
    async def playlists(
        self, info: Info, first: First = 20, after: After = None
    ) -> Connection[Playlist]:
        check_first(first)
        context, code = info.context, str(self.id)
        if after is None:
            page = await context.playlists_of(code, first)
        else:
            reads = context.reads
            pages = await context.server.run(lambda: reads.playlists_of([code], first, after))
            page = pages[code]
        return connection(page or Page([], has_next=False, has_previous=False), Playlist.of)

    @strawberry.field(description="The video on screen, if any.")
    async def now_playing(self, info: Info) -> PlannedVideo | None:
        view = await info.context.views.load(str(self.id))
        return None if view is None or view.now is None else PlannedVideo.of(view.now)

    @strawberry.field(description="The queue after the video on screen.")
    async def queue(self, info: Info) -> list[PlannedVideo]:
        view = await info.context.views.load(str(self.id))
        return [] if view is None else [PlannedVideo.of(pick) for pick in view.next]

    @strawberry.field(description="The positions of the plan after the queue.")
    async def plan(
        self, info: Info, first: First = 20, after: After = None
    ) -> Connection[PlannedVideo]:
        view = await info.context.views.load(str(self.id))
        picks = () if view is None else view.planned
        return connection(_plan_page(str(self.id), picks, first, after), PlannedVideo.of)

    @strawberry.field(description="Blocks that no post matches.")
    async def dry_blocks(self, info: Info) -> list[DryBlock]:
        view = await info.context.views.load(str(self.id))
        if view is None:
            return []
        return [
            DryBlock(block_id=strawberry.ID(str(block)), search=search)
            for block, search in view.dry_blocks.items()
        ]

    @strawberry.field(description="Its timetable; null when its playlists have no time slots.")
    async def timetable(self, info: Info) -> Timetable | None:
        server, code = info.context.server, str(self.id)
        return Timetable.of(await server.run(lambda: timetable_of(server.engine, code)))

    @strawberry.field(description="The stored plans, the newest first.")
    async def builds(self, info: Info) -> list[Build]:
        return [Build.of(each) for each in await info.context.builds.load(str(self.id)) or []]

    @strawberry.field(description="The videos that were shown, the last first.")
    async def plays(
        self,
        info: Info,
        first: First = 20,
        after: After = None,
        since: Annotated[
            datetime | None, strawberry.argument(description="Plays at or after this time.")
        ] = None,
        until: Annotated[
            datetime | None, strawberry.argument(description="Plays before this time.")
        ] = None,
        block_id: strawberry.ID | None = None,
    ) -> Connection[Play]:
        check_first(first)
        context, code = info.context, str(self.id)
        block = None if block_id is None else parse_id(str(block_id), "blockId")
        wanted = PlayFilter(_in_utc(since), _in_utc(until), block)
        page = await context.server.run(lambda: context.reads.plays(code, first, after, wanted))
        return connection(page, Play.of)

    @strawberry.field(description="Its sound, and what its player reports.")
    async def remote(self, info: Info) -> Remote:
        server, code = info.context.server, str(self.id)
        found = await server.run(lambda: read_remote(server.engine, code))
        report = None if found.report is None else PlayerReport.of(found.report)
        return Remote(
            is_muted=found.is_muted,
            volume=found.volume,
            report=report,
        )

    @strawberry.field(description="The tokens of its screens, in the order of their creation.")
    async def screens(self, info: Info) -> list[Screen]:
        info.context.tags.add(TOKENS_TAG)
        server, code = info.context.server, str(self.id)
        return [
            Screen(
                token_id=strawberry.ID(str(token.id)),
                name=token.name,
                created_at=token.created_at,
                expires_at=token.expires_at,
                revoked_at=token.revoked_at,
            )
            for token in await server.run(lambda: tokens_of(server.engine, code))
        ]

    @classmethod
    def of(cls, record: DisplayRecord) -> "Display":
        """Convert a record."""
        known = record.playback_state in set(PlaybackState)
        return cls(
            record=record,
            id=strawberry.ID(record.id),
            name=record.name,
            created_at=record.created_at,
            is_online=record.status == "online",
            last_seen=record.last_ping,
            playback_state=PlaybackState(record.playback_state) if known else PlaybackState.PLAYING,
            queued=record.queued,
            loop=record.loop_iteration,
            position=record.timeline_position,
            build_id=(
                None
                if record.active_build_id is None
                else strawberry.ID(str(record.active_build_id))
            ),
            built_at=record.built_at,
            tags=list(record.tags),
        )


def _in_utc(moment: datetime | None) -> datetime | None:
    """A time without a zone is UTC."""
    if moment is None:
        return None
    try:
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except OverflowError:
        raise InvalidInputError("since", "is out of range; write a time of this century") from None


def _plan_page(
    display_id: str, picks: tuple[ViewedPick, ...], first: int, after: str | None
) -> Page[ViewedPick]:
    check_first(first)
    of = PageList("plan", display_id)
    rest = list(picks)
    if after is not None:
        start = of.key(after, int, int)
        rest = [pick for pick in rest if (pick.loop, pick.position) > start]
    page = rest[:first]
    listed = [(of.cursor([pick.loop, pick.position]), pick) for pick in page]
    return Page(listed, len(rest) > first, after is not None)


async def load_display(info: Info, display_id: str) -> Display | None:
    """Load a display that the caller may read; None when it does not exist.

    Raises:
        InvalidInputError: the id is not a display's code.
        ForbiddenError: the caller may not read it.
    """
    if len(display_id) > 20:  # a code has 6
        raise InvalidInputError("id", "is not a display's code, which has 6 characters")
    info.context.principal.must_read(display_id)
    info.context.touch(display_id)
    record = await info.context.displays.load(display_id)
    return None if record is None else Display.of(record)
