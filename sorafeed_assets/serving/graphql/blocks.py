"""Blocks as clients send them, and the preview of what they would play."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import strawberry

from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.errors import InvalidInputError, Refusals
from sorafeed_assets.domain.playlists.csv_import import parse_playlist_csv
from sorafeed_assets.domain.playlists.files import PlaylistDraft, parse_playlist_json
from sorafeed_assets.domain.playlists.playlist import (
    MAX_BLOCKS,
    Block,
    BlockDraft,
    FetchMode,
    draft_block,
)
from sorafeed_assets.services.timelines.previewing import Preview as PreviewRecord
from sorafeed_assets.serving.graphql.types import PlannedVideo
from sorafeed_assets.serving.ids import parse_id


@strawberry.input(description="A block to store.")
class BlockInput:
    search: str
    video_count: int
    fetch_mode: FetchMode = FetchMode.RANDOM
    format: Format = Format.MIXED
    id: strawberry.ID | None = strawberry.field(
        default=None,
        description="The id under which a new block is stored, as a preview gave it out. Ignored "
        "for a block that is stored with equal fields.",
    )


def drafts_of(blocks: Sequence[BlockInput]) -> list[BlockDraft]:
    """Check the blocks of a request.

    Raises:
        InvalidInputError: naming each refused field, as ``blocks[2].video_count``.
    """
    if len(blocks) > MAX_BLOCKS:
        raise InvalidInputError("blocks", f"are {len(blocks)}; at most {MAX_BLOCKS} are allowed")
    refusals = Refusals()
    drafts = [refusals.check(partial(_draft, i, block)) for i, block in enumerate(blocks)]
    refusals.raise_all()
    return [draft for draft in drafts if draft is not None]


def _draft(index: int, block: BlockInput) -> BlockDraft:
    draft = draft_block(index, block.search, block.video_count, block.fetch_mode, block.format)
    if block.id is None:
        return draft
    return replace(draft, id=parse_id(str(block.id), f"blocks[{index}].id"))


@strawberry.type(description="A line of a CSV file.")
class CsvBlock:
    search: str
    video_count: int
    fetch_mode: FetchMode
    format: Format

    @classmethod
    def of(cls, draft: BlockDraft) -> "CsvBlock":
        """Convert a draft."""
        return cls(
            search=draft.search_term,
            video_count=draft.video_count,
            fetch_mode=draft.fetch_mode,
            format=draft.format,
        )


@strawberry.type(description="A block of a preview, with the id to save it under.")
class PreviewBlock:
    id: strawberry.ID
    search: str
    video_count: int
    fetch_mode: FetchMode
    format: Format
    is_dry: bool = strawberry.field(description="Whether no post matches.")

    @classmethod
    def of(cls, block: Block, *, is_dry: bool) -> "PreviewBlock":
        """Convert a block."""
        return cls(
            id=strawberry.ID(str(block.id)),
            search=block.search_term,
            video_count=block.video_count,
            fetch_mode=block.fetch_mode,
            format=block.format,
            is_dry=is_dry,
        )


@strawberry.type(description="What a display would play if the blocks were saved.")
class Preview:
    blocks: list[PreviewBlock]
    videos: list[PlannedVideo] = strawberry.field(
        description="The first videos, the one on screen first if it stays."
    )
    now: list[PlannedVideo] = strawberry.field(
        description="The first videos that play without the change."
    )
    starts_over: bool = strawberry.field(
        description="Whether the display would begin with the playlist's first loop."
    )
    loop: int = strawberry.field(description="The loop of the first video, from 0.")
    position: int = strawberry.field(description="Its position in the loop, from 0.")
    same: int = strawberry.field(description="How many of the first videos stay as they are.")
    is_active: bool = strawberry.field(
        description="Whether the display plays the playlist; others play when they are activated."
    )

    @classmethod
    def of(cls, record: PreviewRecord) -> "Preview":
        """Convert a record."""
        return cls(
            blocks=[
                PreviewBlock.of(block, is_dry=block.id in record.dry_blocks)
                for block in record.blocks
            ],
            videos=[PlannedVideo.of(pick) for pick in record.videos],
            now=[PlannedVideo.of(pick) for pick in record.now],
            starts_over=record.starts_over,
            loop=record.loop,
            position=record.position,
            same=record.same,
            is_active=record.is_active,
        )


def draft_of(csv: str | None, json: str | None) -> PlaylistDraft:
    """The playlist of a file, which is either CSV or JSON.

    Raises:
        InvalidInputError: there is no file, or two, or parts of it are refused.
    """
    if csv is not None and json is None:
        return PlaylistDraft(parse_playlist_csv(csv))
    if json is not None and csv is None:
        return parse_playlist_json(json)
    raise InvalidInputError("csv", "or json is needed, and only one of them")
