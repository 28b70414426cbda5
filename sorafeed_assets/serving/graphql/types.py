"""The GraphQL types; fields that need a query read through the batches of the context."""

from datetime import datetime
from typing import Annotated, Generic, TypeVar

import strawberry

from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.playlists.playlist import FetchMode
from sorafeed_assets.services.commands import PlaybackState
from sorafeed_assets.services.counts.typeahead import Exactness
from sorafeed_assets.services.playlists.deleting import Deletion as DeletionRecord
from sorafeed_assets.services.records import (
    BlockRecord,
    BuildRecord,
    PlaylistRecord,
    PostRecord,
    TermRecord,
)
from sorafeed_assets.services.timelines.history import PlayRecord
from sorafeed_assets.services.timelines.views import ViewedPick
from sorafeed_assets.serving.graphql.context import Info
from sorafeed_assets.serving.players.media import media_url, page_url, poster_url
from sorafeed_assets.serving.wording import reason_of
from sorafeed_assets.storage.lists import DisplayOrder

# Enumerations of other floors, registered with the schema.
strawberry.enum(Format, description="The shapes of video that match.")
strawberry.enum(FetchMode, description="How a block picks its videos.")
strawberry.enum(Exactness, description="Whether a count is exact.")
strawberry.enum(DisplayOrder, description="The order of displays.")
strawberry.enum(PlaybackState, description="The playback state of a display.")

_Node = TypeVar("_Node")

First = Annotated[int, strawberry.argument(description="1 to 100.")]
After = Annotated[str | None, strawberry.argument(description="An endCursor of this list.")]


@strawberry.type(
    description="The first and the last cursor of a page, and whether more pages exist."
)
class PageInfo:
    has_next_page: bool
    has_previous_page: bool
    start_cursor: str | None
    end_cursor: str | None


@strawberry.type(description="A row of a list, with its cursor.")
class Edge(Generic[_Node]):
    cursor: str
    node: _Node


@strawberry.type(description="A page of a list.")
class Connection(Generic[_Node]):
    edges: list[Edge[_Node]]
    page_info: PageInfo

    @strawberry.field(description="The rows of the page, without their cursors.")
    def nodes(self) -> list[_Node]:
        return [edge.node for edge in self.edges]


@strawberry.type(description="How many posts match a search.")
class Count:
    search: str = strawberry.field(description="The search, normalized.")
    format: Format
    total: int = strawberry.field(description="The count, or a lower bound of it.")
    exactness: Exactness
    is_tracked: bool = strawberry.field(
        description="Whether the search is tracked, so that its exact count is kept or follows."
    )


@strawberry.type(description="A video with its text, size and times.")
class Post:
    id: strawberry.ID
    text: str | None
    posted_at: datetime
    permalink: str | None
    video_url: str | None
    video_url_small: str | None
    thumbnail_url: str | None
    width: int | None
    height: int | None
    creator: str | None

    @classmethod
    def of(cls, record: PostRecord) -> "Post":
        """Convert a record; addresses that are not http(s) are left out."""
        size = (record.width, record.height)
        return cls(
            id=strawberry.ID(record.id),
            text=record.text,
            posted_at=record.posted_at,
            permalink=page_url(record.permalink),
            video_url=media_url(record.id, record.video_url, *size),
            video_url_small=media_url(record.id, record.video_url_md, *size),
            thumbnail_url=poster_url(record.id, record.thumbnail_url, *size),
            width=record.width,
            height=record.height,
            creator=record.display_name or record.username,
        )


@strawberry.type(description="One position of a display's plan.")
class PlannedVideo:
    loop: int = strawberry.field(description="From 0.")
    position: int = strawberry.field(description="Its place in the loop, from 0.")
    video_id: strawberry.ID
    block_id: strawberry.ID
    search: str = strawberry.field(description="The search of its block.")
    reason: str = strawberry.field(description="Why it was picked: new, replay, repeat or kept.")
    why: str = strawberry.field(description="The reason in words.")
    status: str = strawberry.field(description="playing, queued or planned.")

    @strawberry.field(description="The post; null when it was removed from the catalogue.")
    async def post(self, info: Info) -> Post | None:
        record = await info.context.posts.load(str(self.video_id))
        return None if record is None else Post.of(record)

    @classmethod
    def of(cls, pick: ViewedPick) -> "PlannedVideo":
        """Convert a position of a plan."""
        return cls(
            loop=pick.loop,
            position=pick.position,
            video_id=strawberry.ID(pick.video_id),
            block_id=strawberry.ID(str(pick.block_id)),
            search=pick.search_term,
            reason=pick.tier,
            why=reason_of(pick.tier),
            status=pick.status,
        )


@strawberry.type(description="A video that was shown.")
class Play:
    id: strawberry.ID
    video_id: strawberry.ID
    block_id: strawberry.ID | None
    loop: int
    played_at: datetime
    was_skipped: bool
    has_failed: bool = strawberry.field(description="Whether its player could not show it.")
    search: str | None = strawberry.field(
        description="The search of its block; null when the block was removed."
    )
    text: str | None
    thumbnail_url: str | None

    @classmethod
    def of(cls, record: PlayRecord) -> "Play":
        """Convert a record."""
        return cls(
            id=strawberry.ID(str(record.id)),
            video_id=strawberry.ID(record.video_id),
            block_id=None if record.block_id is None else strawberry.ID(str(record.block_id)),
            loop=record.loop_iteration,
            played_at=record.played_at,
            was_skipped=record.was_skipped,
            has_failed=record.has_failed,
            search=record.search,
            text=record.text,
            thumbnail_url=poster_url(
                record.video_id, record.thumbnail_url, record.width, record.height
            ),
        )


@strawberry.type(description="A stored plan.")
class Build:
    id: strawberry.ID
    playlist_id: strawberry.ID
    playlist_version: str
    loop: int
    created_at: datetime
    content_hash: str
    planned: int = strawberry.field(description="How many positions the plan has.")
    dry_blocks: int

    @classmethod
    def of(cls, record: BuildRecord) -> "Build":
        """Convert a record."""
        return cls(
            id=strawberry.ID(str(record.id)),
            playlist_id=strawberry.ID(str(record.playlist_id)),
            playlist_version=record.playlist_version,
            loop=record.loop_iteration,
            created_at=record.created_at,
            content_hash=record.content_hash,
            planned=record.planned,
            dry_blocks=record.dry,
        )


@strawberry.type(description="A deleted display or playlist, which can be restored for 30 days.")
class Deletion:
    id: strawberry.ID
    display_id: strawberry.ID
    playlist_id: strawberry.ID | None = strawberry.field(
        description="The deleted playlist; null when the whole display was deleted."
    )
    name: str
    was_active: bool = strawberry.field(description="Whether the playlist was the active one.")
    deleted_at: datetime
    until: datetime = strawberry.field(description="When it is deleted permanently.")
    playlists: int = strawberry.field(description="How many playlists are restored.")
    blocks: int = strawberry.field(description="How many blocks are restored.")

    @classmethod
    def of(cls, record: DeletionRecord) -> "Deletion":
        """Convert a record."""
        playlist = record.playlist_id
        return cls(
            id=strawberry.ID(str(record.id)),
            display_id=strawberry.ID(record.display_id),
            playlist_id=None if playlist is None else strawberry.ID(str(playlist)),
            name=record.name,
            was_active=record.was_active,
            deleted_at=record.deleted_at,
            until=record.until,
            playlists=record.playlists,
            blocks=record.blocks,
        )


@strawberry.type(description="A tracked search.")
class Term:
    term: str
    is_watched: bool
    counted_at: datetime | None
    problem: str | None = strawberry.field(description="Why the search could not be counted.")

    @strawberry.field(description="How many posts match; null until the search is counted.")
    async def total(self, info: Info, format: Format = Format.MIXED) -> int | None:  # noqa: A002  # the API's word
        if self.counted_at is None:
            return None
        return (await info.context.total(self.term) or {}).get(format.value)

    @classmethod
    def of(cls, record: TermRecord) -> "Term":
        """Convert a record."""
        return cls(
            term=record.term,
            is_watched=record.is_watched,
            counted_at=record.counted_at,
            problem=record.problem if (record.attempts or 0) > 0 else None,
        )


@strawberry.type(description="One line of a playlist.")
class Block:
    id: strawberry.ID
    search: str
    video_count: int
    fetch_mode: FetchMode
    format: Format
    order: int
    times_played: int
    last_played_at: datetime | None
    total: int | None = strawberry.field(
        description="How many posts match; null until the search is counted."
    )
    seen: int = strawberry.field(description="How many different matches its display has shown.")
    available: int | None = strawberry.field(
        description="How many matches it has not shown; null until the search is counted."
    )


@strawberry.type(description="The blocks that a display plays, in order.")
class Playlist:
    record: strawberry.Private[PlaylistRecord]
    id: strawberry.ID
    display_id: strawberry.ID
    name: str
    is_active: bool
    created_at: datetime
    updated_at: datetime
    loop_count: int
    total_videos: int

    @strawberry.field
    async def blocks(self, info: Info) -> list[Block]:
        # Read with their counts, because thousands of awaited fields cost more.
        return [_block(*each) for each in await info.context.blocks(self.record.id) or []]

    @classmethod
    def of(cls, record: PlaylistRecord) -> "Playlist":
        """Convert a record."""
        return cls(
            record=record,
            id=strawberry.ID(str(record.id)),
            display_id=strawberry.ID(record.display_id),
            name=record.name,
            is_active=record.is_active,
            created_at=record.created_at,
            updated_at=record.updated_at,
            loop_count=record.loop_count,
            total_videos=record.total_videos,
        )


def _block(record: BlockRecord, total: int | None, seen: int) -> Block:
    return Block(
        id=strawberry.ID(str(record.id)),
        search=record.search_term,
        video_count=record.video_count,
        fetch_mode=FetchMode(record.fetch_mode),
        format=Format(record.format),
        order=record.block_order,
        times_played=record.times_played,
        last_played_at=record.last_played_at,
        total=total,
        seen=seen,
        available=None if total is None else max(0, total - seen),
    )
