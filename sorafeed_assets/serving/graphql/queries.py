"""The queries."""

import time
from typing import Annotated

import strawberry

from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.paging import check_first
from sorafeed_assets.domain.playlists.playlist import check_display_code
from sorafeed_assets.services.counts.typeahead import preview_count
from sorafeed_assets.services.playlists.templates import list_templates
from sorafeed_assets.services.timelines.previewing import preview
from sorafeed_assets.serving.graphql.blocklist import BlocklistQuery
from sorafeed_assets.serving.graphql.blocks import (
    BlockInput,
    CsvBlock,
    Preview,
    draft_of,
    drafts_of,
)
from sorafeed_assets.serving.graphql.connections import connection, info_of
from sorafeed_assets.serving.graphql.context import Info
from sorafeed_assets.serving.graphql.display import Display, load_display
from sorafeed_assets.serving.graphql.many import Template
from sorafeed_assets.serving.graphql.types import (
    After,
    Connection,
    Count,
    Deletion,
    Edge,
    First,
    PageInfo,
    Playlist,
    Post,
    Term,
)
from sorafeed_assets.serving.ids import parse_id
from sorafeed_assets.storage.cache.redis import (
    BLOCKLIST_TAG,
    COUNTS_TAG,
    DISPLAYS_TAG,
    TERMS_TAG,
)
from sorafeed_assets.storage.lists import DisplayOrder


@strawberry.type(description="A page of displays.")
class DisplayConnection:
    edges: list[Edge[Display]]
    page_info: PageInfo
    is_searched: strawberry.Private[bool]

    @strawberry.field(description="The displays of the page, without their cursors.")
    def nodes(self) -> list[Display]:
        return [edge.node for edge in self.edges]

    @strawberry.field(description="How many displays exist; null for a search.")
    async def total_count(self, info: Info) -> int | None:
        if self.is_searched:
            return None
        return await info.context.server.run(info.context.reads.count_displays)


@strawberry.type(description="A tag: a word by which displays are selected.")
class Tag:
    tag: str
    displays: int = strawberry.field(description="How many displays have it.")


@strawberry.type(description="Queries.")
class Query(BlocklistQuery):
    @strawberry.field(
        description="Displays whose name or code contains a search, or that have a tag."
    )
    async def displays(
        self,
        info: Info,
        search: str | None = None,
        tag: str | None = None,
        order_by: DisplayOrder = DisplayOrder.CODE,
        first: First = 20,
        after: After = None,
    ) -> DisplayConnection:
        context = info.context
        context.principal.must_read()
        context.tags.add(DISPLAYS_TAG)
        reads = context.reads
        page = await context.server.run(
            lambda: reads.display_page(order_by, search, first, after, tag)
        )
        for _, record in page.rows:
            context.touch(record.id)
        return DisplayConnection(
            edges=[Edge(cursor=cursor, node=Display.of(record)) for cursor, record in page.rows],
            page_info=info_of(page),
            is_searched=bool(search and search.strip()) or tag is not None,
        )

    @strawberry.field(description="Every tag, in order.")
    async def tags(self, info: Info) -> list[Tag]:
        context = info.context
        context.principal.must_read()
        context.tags.add(DISPLAYS_TAG)
        found = await context.server.run(context.reads.tags)
        return [Tag(tag=tag, displays=count) for tag, count in found.items()]

    @strawberry.field(description="The playlists that many displays follow, by name.")
    async def templates(self, info: Info) -> list[Template]:
        context = info.context
        context.principal.must_read()
        context.tags.add(DISPLAYS_TAG)
        server = context.server
        return [
            Template.of(each) for each in await server.run(lambda: list_templates(server.engine))
        ]

    @strawberry.field(description="The display with this code, or null.")
    async def display(self, info: Info, id: strawberry.ID) -> Display | None:  # noqa: A002  # the API's word
        return await load_display(info, str(id))

    @strawberry.field(description="The playlist with this id, or null.")
    async def playlist(self, info: Info, id: strawberry.ID) -> Playlist | None:  # noqa: A002  # the API's word
        record = await info.context.playlists.load(parse_id(str(id), "id"))
        info.context.principal.must_read(record.display_id if record else None)
        if record is None:
            return None
        info.context.touch(record.display_id)
        return Playlist.of(record)

    @strawberry.field(
        description="What was deleted within 30 days, of one display or all, the latest first."
    )
    async def deletions(
        self,
        info: Info,
        display_id: strawberry.ID | None = None,
        first: First = 20,
        after: After = None,
    ) -> Connection[Deletion]:
        context = info.context
        context.principal.must_read()
        context.tags.add(DISPLAYS_TAG)
        code = None if display_id is None else check_display_code(str(display_id), "displayId")
        reads = context.server.queries
        page = await context.server.run(lambda: reads.deletions(code, first, after))
        return connection(page, Deletion.of)

    @strawberry.field(
        description="What a display would play if these blocks were saved: those of a new "
        "playlist, or of one of its playlists. Nothing is stored. Saving the blocks with the ids "
        "of the answer gives the same, unless something changes in between."
    )
    async def preview(
        self,
        info: Info,
        display_id: strawberry.ID,
        blocks: list[BlockInput],
        playlist_id: strawberry.ID | None = None,
        first: Annotated[int, strawberry.argument(description="1 to 100 videos.")] = 10,
    ) -> Preview:
        context = info.context
        context.principal.must_change()
        code = check_display_code(str(display_id), "displayId")
        playlist = None if playlist_id is None else parse_id(str(playlist_id), "playlistId")
        check_first(first)
        drafts = drafts_of(blocks)
        context.touch(code)
        server = context.server
        free = server.previews.take(context.principal.token.id)
        try:
            found = await server.run(
                lambda: preview(
                    server.engine,
                    code,
                    playlist,
                    drafts,
                    first=first,
                    pool_size=server.settings.candidates_per_pool,
                )
            )
        finally:
            free()
        return Preview.of(found)

    @strawberry.field(
        description="The blocks of a CSV or JSON file, as importPlaylist would store them; refuses "
        "all invalid lines at once."
    )
    def csv_blocks(
        self, info: Info, csv: str | None = None, json: str | None = None
    ) -> list[CsvBlock]:
        info.context.principal.must_read()
        return [CsvBlock.of(draft) for draft in draft_of(csv, json).blocks]

    @strawberry.field(description="The posts that match a search, the newest first.")
    async def posts(
        self,
        info: Info,
        search: str,
        format: Format = Format.MIXED,  # noqa: A002  # the API's word
        first: First = 20,
        after: After = None,
    ) -> Connection[Post]:
        info.context.principal.must_read()
        info.context.tags.add(BLOCKLIST_TAG)
        server, reads = info.context.server, info.context.reads
        page = await server.run(lambda: reads.matching_posts(search, format, first, after))
        return connection(page, Post.of)

    @strawberry.field(
        description="How many posts match. A count that takes long is given as AT_LEAST. When an "
        "admin asks by POST, the search is then tracked, and its exact count follows."
    )
    async def count(
        self,
        info: Info,
        search: str,
        format: Format = Format.MIXED,  # noqa: A002  # the API's word
    ) -> Count:
        context = info.context
        context.principal.must_read()
        context.tags.add(COUNTS_TAG)
        server = context.server
        started = time.perf_counter()
        found = await server.run(
            lambda: preview_count(
                server.change_engine if context.may_store else server.engine,
                search,
                format,
                may_track=context.may_store,
                on_tracked=server.commands.tell_of_terms,
            )
        )
        if found.is_known:
            server.metrics.known_counts.observe(time.perf_counter() - started)
        return Count(
            search=found.term,
            format=found.format,
            total=found.total,
            exactness=found.exactness,
            is_tracked=found.is_tracked,
        )

    @strawberry.field(description="The tracked terms that contain a search, in order.")
    async def terms(
        self, info: Info, search: str | None = None, first: First = 20, after: After = None
    ) -> Connection[Term]:
        context = info.context
        context.principal.must_read()
        context.tags |= {TERMS_TAG, COUNTS_TAG}
        reads = context.reads
        page = await context.server.run(lambda: reads.terms(search, first, after))
        return connection(page, Term.of)
