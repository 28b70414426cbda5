"""The records that the reads of the API give, and pages of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Generic, NamedTuple, TypeVar
from uuid import UUID

from sorafeed_assets.domain.catalog.search import parse_query
from sorafeed_assets.domain.errors import InvalidInputError

_Record = TypeVar("_Record")


class DisplayRecord(NamedTuple):
    """A display, what it plays, and how far ahead it is planned."""

    id: str
    name: str
    status: str
    created_at: datetime
    last_ping: datetime | None
    is_muted: bool
    playback_state: str
    loop_iteration: int
    timeline_position: int
    current_timeline_video_id: UUID | None
    dedup_since: datetime
    active_build_id: int | None
    built_at: datetime | None
    built_playlist_id: UUID | None
    active_playlist_id: UUID | None
    active_playlist: str | None
    now_video_id: str | None
    now_text: str | None
    is_shown: bool
    queued: int
    dry_searches: Sequence[str] | None
    plan_problem: str | None
    now_thumbnail: str | None
    now_width: int | None
    now_height: int | None
    playlist_names: str | None
    tags: Sequence[str] = ()


class PlaylistRecord(NamedTuple):
    """A playlist without its blocks."""

    id: UUID
    display_id: str
    name: str
    is_active: bool
    created_at: datetime
    updated_at: datetime
    loop_count: int
    total_blocks: int
    total_videos: int


class BlockRecord(NamedTuple):
    """A block, and how often it was played."""

    id: UUID
    playlist_id: UUID
    display_id: str
    search_term: str
    video_count: int
    fetch_mode: str
    format: str
    block_order: int
    times_played: int
    last_played_at: datetime | None

    @property
    def term(self) -> str | None:
        """The normalized search; None for an invalid one, which plain SQL can store."""
        return term_of(self.search_term)


class CountedBlock(NamedTuple):
    """A block, how many posts match (if counted), and how many of them were shown."""

    record: BlockRecord
    total: int | None
    seen: int


@dataclass(frozen=True, slots=True)
class BuildRecord:
    """A stored plan, without its picks."""

    id: int
    display_id: str
    playlist_id: UUID
    playlist_version: str
    loop_iteration: int
    created_at: datetime
    content_hash: str
    dry: int
    planned: int


@dataclass(frozen=True, slots=True)
class TermRecord:
    """A tracked term; ``problem`` says why it could not be counted."""

    term: str
    is_watched: bool
    counted_at: datetime | None
    problem: str | None
    attempts: int | None


@dataclass(frozen=True, slots=True)
class PostRecord:
    """A post of the catalogue."""

    id: str
    text: str | None
    posted_at: datetime
    permalink: str | None
    video_url: str | None
    video_url_md: str | None
    thumbnail_url: str | None
    gif_url: str | None
    width: int | None
    height: int | None
    username: str | None
    display_name: str | None


@dataclass(frozen=True, slots=True)
class Page(Generic[_Record]):
    """A page of a list: rows with their cursors, and whether more pages follow."""

    rows: list[tuple[str, _Record]]
    has_next: bool
    has_previous: bool


class DisplayJson(NamedTuple):
    """A display as JSON, in each requested shape."""

    id: str
    name: str
    created_at: datetime
    texts: tuple[str, ...]


@lru_cache(maxsize=10_000)
def term_of(search: str) -> str | None:
    """The normalized search; None for an invalid one, which plain SQL can store."""
    try:
        return parse_query(search).term
    except InvalidInputError:
        return None
