"""The mutations of many displays and of templates; each display has its own result."""

from collections.abc import Callable, Sequence
from datetime import datetime

import strawberry

from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.errors import NotFoundError
from sorafeed_assets.domain.playlists.playlist import FetchMode
from sorafeed_assets.services.commands import PlaybackState
from sorafeed_assets.services.many import ManyDisplays, Outcome
from sorafeed_assets.services.playlists import templates
from sorafeed_assets.services.playlists.templates import list_templates
from sorafeed_assets.serving.graphql.blocks import BlockInput, drafts_of
from sorafeed_assets.serving.graphql.context import Info
from sorafeed_assets.serving.ids import parse_id


@strawberry.type(description="The result of a change of one of many displays.")
class DisplayResult:
    display_id: strawberry.ID
    playlist_id: strawberry.ID | None = strawberry.field(
        description="The playlist that was added or activated."
    )
    problem: str | None = strawberry.field(
        description="Why the display was not changed, or stays on its last good plan; null when"
        " all went well."
    )


@strawberry.type(description="The results of a change of many displays, in their order.")
class DisplaysPayload:
    results: list[DisplayResult]


@strawberry.type(description="A block of a template.")
class TemplateBlock:
    search: str
    video_count: int
    fetch_mode: FetchMode
    format: Format


@strawberry.type(description="A playlist that many displays follow.")
class Template:
    id: strawberry.ID
    name: str
    created_at: datetime
    updated_at: datetime
    followers: list[strawberry.ID] = strawberry.field(description="The displays that follow it.")
    blocks: list[TemplateBlock]

    @classmethod
    def of(cls, record: templates.Template) -> "Template":
        """Convert a record."""
        return cls(
            id=strawberry.ID(str(record.id)),
            name=record.name,
            created_at=record.created_at,
            updated_at=record.updated_at,
            followers=[strawberry.ID(code) for code in record.followers],
            blocks=[
                TemplateBlock(
                    search=block.search_term,
                    video_count=block.video_count,
                    fetch_mode=block.fetch_mode,
                    format=block.format,
                )
                for block in record.blocks
            ],
        )


@strawberry.type(description="The template after a change, and the displays that follow it.")
class TemplatePayload:
    template: Template
    results: list[DisplayResult]


async def _change(info: Info, work: Callable[[ManyDisplays], list[Outcome]]) -> DisplaysPayload:
    info.context.principal.must_change()
    outcomes = await info.context.change(lambda commands: work(commands.many))
    return DisplaysPayload(results=results_of(outcomes))


def results_of(outcomes: Sequence[Outcome]) -> list[DisplayResult]:
    """Convert outcomes."""
    return [
        DisplayResult(
            display_id=strawberry.ID(each.display_id),
            playlist_id=None if each.playlist_id is None else strawberry.ID(str(each.playlist_id)),
            problem=each.problem,
        )
        for each in outcomes
    ]


async def _template(
    info: Info, template_id: str, outcomes: Sequence[Outcome] = ()
) -> TemplatePayload:
    server = info.context.server
    found = await info.context.read_back(server.run(lambda: list_templates(server.engine)))
    for each in found:
        if str(each.id) == template_id:
            return TemplatePayload(template=Template.of(each), results=results_of(outcomes))
    raise NotFoundError("the template was deleted in the meantime")


def _codes(ids: Sequence[strawberry.ID]) -> list[str]:
    return [str(each) for each in ids]


@strawberry.type
class ManyMutation:
    @strawberry.mutation(description="Let displays play, pause or stop.")
    async def set_playback(
        self, info: Info, display_ids: list[strawberry.ID], state: PlaybackState
    ) -> DisplaysPayload:
        return await _change(info, lambda many: many.set_playback(_codes(display_ids), state.value))

    @strawberry.mutation(description="Add tags to displays, and remove others.")
    async def tag_displays(
        self,
        info: Info,
        display_ids: list[strawberry.ID],
        add: list[str] = [],  # noqa: B006  # the schema's default
        remove: list[str] = [],  # noqa: B006  # the schema's default
    ) -> DisplaysPayload:
        return await _change(info, lambda many: many.tag(_codes(display_ids), add, remove))

    @strawberry.mutation(
        description="Give displays a copy of a playlist, which becomes active at once; with its"
        " name unless another is given."
    )
    async def copy_playlist(
        self,
        info: Info,
        playlist_id: strawberry.ID,
        display_ids: list[strawberry.ID],
        name: str | None = None,
    ) -> DisplaysPayload:
        key = parse_id(str(playlist_id), "playlistId")
        return await _change(info, lambda many: many.copy_playlist(key, _codes(display_ids), name))

    @strawberry.mutation(
        description="Activate, on each display, its newest playlist with this name."
    )
    async def activate_named(
        self, info: Info, display_ids: list[strawberry.ID], name: str
    ) -> DisplaysPayload:
        return await _change(info, lambda many: many.activate(_codes(display_ids), name))

    @strawberry.mutation(description="Delete displays; their plays are kept.")
    async def delete_displays(
        self, info: Info, display_ids: list[strawberry.ID]
    ) -> DisplaysPayload:
        return await _change(info, lambda many: many.delete(_codes(display_ids)))

    @strawberry.mutation(
        description="Let displays follow a template, by a playlist that becomes active at once."
    )
    async def follow_template(
        self, info: Info, template_id: strawberry.ID, display_ids: list[strawberry.ID]
    ) -> DisplaysPayload:
        key = parse_id(str(template_id), "templateId")
        return await _change(info, lambda many: many.follow(_codes(display_ids), key))

    @strawberry.mutation(description="Detach a playlist from its template; what it plays stays.")
    async def detach_playlist(self, info: Info, playlist_id: strawberry.ID) -> DisplaysPayload:
        key = parse_id(str(playlist_id), "playlistId")
        return await _change(info, lambda many: [many.detach(key)])

    @strawberry.mutation(description="Add a template, which no display follows yet.")
    async def create_template(
        self, info: Info, name: str, blocks: list[BlockInput]
    ) -> TemplatePayload:
        info.context.principal.must_change()
        drafts = drafts_of(blocks)
        made = await info.context.change(
            lambda commands: commands.many.create_template(name, drafts)
        )
        return await _template(info, str(made))

    @strawberry.mutation(
        description="Replace the blocks of a template and of all playlists that follow it."
    )
    async def edit_template(
        self,
        info: Info,
        id: strawberry.ID,  # noqa: A002  # the API's word
        blocks: list[BlockInput],
    ) -> TemplatePayload:
        info.context.principal.must_change()
        key, drafts = parse_id(str(id), "id"), drafts_of(blocks)
        outcomes = await info.context.change(
            lambda commands: commands.many.edit_template(key, drafts)
        )
        return await _template(info, str(key), outcomes)

    @strawberry.mutation(description="Rename a template; the playlists that follow it keep theirs.")
    async def rename_template(
        self,
        info: Info,
        id: strawberry.ID,  # noqa: A002  # the API's word
        name: str,
    ) -> TemplatePayload:
        info.context.principal.must_change()
        key = parse_id(str(id), "id")
        await info.context.change(lambda commands: commands.many.rename_template(key, name))
        return await _template(info, str(key))

    @strawberry.mutation(
        description="Delete a template; the playlists that followed it stay as they are."
    )
    async def delete_template(self, info: Info, id: strawberry.ID) -> DisplaysPayload:  # noqa: A002  # the API's word
        key = parse_id(str(id), "id")
        return await _change(info, lambda many: many.delete_template(key))
