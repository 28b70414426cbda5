"""The blocklist: its entries, and the mutations that exclude and allow."""

from datetime import datetime

import strawberry

from sorafeed_assets.domain.catalog.blocklist import Kind, check_note, check_target
from sorafeed_assets.services.timelines.excluding import concerned_displays
from sorafeed_assets.serving.graphql.connections import connection
from sorafeed_assets.serving.graphql.context import Info
from sorafeed_assets.serving.graphql.many import DisplayResult, results_of
from sorafeed_assets.serving.graphql.types import After, Connection, First
from sorafeed_assets.storage.cache.redis import BLOCKLIST_TAG
from sorafeed_assets.storage.catalog.blocklist import Entry

strawberry.enum(
    Kind, name="BlocklistKind", description="Whether a post is excluded, or all of a creator."
)


@strawberry.type(description="A post or creator that no display plays.")
class BlocklistEntry:
    kind: Kind
    id: strawberry.ID = strawberry.field(description="The id of the post or creator.")
    label: str | None = strawberry.field(
        description="The beginning of the post's text, or the creator's name; null if unknown."
    )
    excluded_at: datetime
    excluded_by: str = strawberry.field(description="The name of the token, or the command.")
    note: str

    @classmethod
    def of(cls, record: Entry) -> "BlocklistEntry":
        """Convert a record."""
        return cls(
            kind=record.kind,
            id=strawberry.ID(record.target_id),
            label=record.label,
            excluded_at=record.excluded_at,
            excluded_by=record.excluded_by,
            note=record.note,
        )


@strawberry.type(description="The entry of an excluded post or creator.")
class ExcludePayload:
    entry: BlocklistEntry
    is_new: bool = strawberry.field(description="False if it was excluded before.")
    results: list[DisplayResult] = strawberry.field(
        description="The displays that were to play it, planned again."
    )


@strawberry.type(description="The result of allowing a post or creator.")
class AllowPayload:
    was_excluded: bool


@strawberry.type
class BlocklistQuery:
    @strawberry.field(description="The posts and creators that no display plays, the latest first.")
    async def blocklist(
        self, info: Info, first: First = 20, after: After = None
    ) -> Connection[BlocklistEntry]:
        context = info.context
        context.principal.must_read()
        context.tags.add(BLOCKLIST_TAG)
        reads = context.reads
        page = await context.server.run(lambda: reads.blocklist(first, after))
        return connection(page, BlocklistEntry.of)

    @strawberry.field(
        description="The displays whose plan has a post, or posts of a creator: those that are"
        " planned again when it is excluded."
    )
    async def displays_playing(
        self,
        info: Info,
        kind: Kind,
        id: strawberry.ID,  # noqa: A002  # the API's word
    ) -> list[strawberry.ID]:
        context = info.context
        context.principal.must_change()
        target = check_target(kind, str(id))
        context.tags.add(BLOCKLIST_TAG)
        server = context.server
        found = await server.run(lambda: concerned_displays(server.engine, target))
        for code in found:
            context.touch(code)
        return [strawberry.ID(code) for code in found]


@strawberry.type
class BlocklistMutation:
    @strawberry.mutation(
        description="Let no display play a post, or the posts of a creator, from now on. One that"
        " is excluded already keeps its entry."
    )
    async def exclude(
        self,
        info: Info,
        kind: Kind,
        id: strawberry.ID,  # noqa: A002  # the API's word
        note: str = "",
    ) -> ExcludePayload:
        context = info.context
        context.principal.must_change()
        target, why = check_target(kind, str(id)), check_note(note)
        by = context.principal.token.name
        excluded, outcomes = await context.change(
            lambda commands: commands.many.exclude(target, by=by, note=why)
        )
        return ExcludePayload(
            entry=BlocklistEntry.of(excluded.entry),
            is_new=excluded.is_new,
            results=results_of(outcomes),
        )

    @strawberry.mutation(
        description="Let displays play a post, or the posts of a creator, again. They are"
        " candidates as soon as counts and pools have them."
    )
    async def allow(
        self,
        info: Info,
        kind: Kind,
        id: strawberry.ID,  # noqa: A002  # the API's word
    ) -> AllowPayload:
        info.context.principal.must_change()
        target = check_target(kind, str(id))
        was = await info.context.change(lambda commands: commands.many.allow(target))
        return AllowPayload(was_excluded=was)
