"""View models of the pages: records in plain words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from urllib.parse import quote
from uuid import UUID

from sorafeed_assets.domain.timelines.plan import place_of
from sorafeed_assets.services.attention import Known, Severity, attention_of
from sorafeed_assets.services.records import BlockRecord, DisplayRecord, PostRecord
from sorafeed_assets.services.timelines.driving import Driver
from sorafeed_assets.services.timelines.history import PlayRecord
from sorafeed_assets.services.timelines.views import TimelineView, ViewedPick
from sorafeed_assets.serving.players.media import media_url, page_url, poster_url
from sorafeed_assets.serving.wording import reason_of
from sorafeed_assets.settings import Settings

_STATES: Final = {"playing": "playing", "paused": "paused", "idle": "stopped"}

_STAGES: Final = {"queue": "queued", "event": "sent to players", "started": "on screen"}


class Card(NamedTuple):
    """A display's card; problems are sentences."""

    code: str
    name: str
    is_online: bool
    state: str
    now: str | None
    is_shown: bool
    playlist: str | None
    queued: int
    window: int
    built_at: datetime | None
    has_called: bool
    problems: tuple[str, ...]
    driver: Driver = Driver.NEW
    severity: Severity = Severity.NONE
    offline_since: datetime | None = None
    poster: str | None = None
    found_by: str = ""
    tags: tuple[str, ...] = ()

    @property
    def order(self) -> tuple[int, str]:
        """What cards are sorted by: the worst first, then by code."""
        return self.severity, self.code


@dataclass(frozen=True, slots=True)
class ShownPick:
    """A position of a plan, with its text and its reason in words."""

    post_id: str
    position: int
    loop: int
    place: str
    text: str
    search: str
    reason: str
    permalink: str | None
    media: str | None
    poster: str | None


@dataclass(frozen=True, slots=True)
class ShownBlock:
    """A block of the editor, with its counts if they are known."""

    id: UUID | None
    search: str
    video_count: int
    fetch_mode: str
    format: str
    total: int | None
    seen: int
    is_dry: bool


def shown_reactions(
    found: Mapping[str, Sequence[float] | None],
) -> list[tuple[str, str, str]]:
    """(stage, median, 95th percentile) of the last hour's changes, in seconds."""
    return [
        (title, f"{seconds[0]:.2f} s", f"{seconds[1]:.2f} s")
        for stage, title in _STAGES.items()
        for seconds in (found[stage],)
        if seconds is not None
    ]


def card(record: DisplayRecord, known: Known, window: int) -> Card:
    """Build a display's card; ``window`` is how many videos should be queued."""
    is_online = record.status == "online"
    severity, problems, offline_since = attention_of(record, known)
    return Card(
        code=record.id,
        name=record.name,
        is_online=is_online,
        state=_STATES.get(record.playback_state, "playing"),
        now=record.now_text,
        is_shown=record.is_shown and is_online,
        playlist=record.active_playlist,
        queued=record.queued,
        window=window,
        built_at=record.built_at,
        has_called=record.last_ping is not None,
        problems=problems,
        driver=known.driver,
        severity=severity,
        offline_since=offline_since,
        poster=poster_url(
            record.now_video_id or "", record.now_thumbnail, record.now_width, record.now_height
        ),
        found_by=f"{record.name} {record.id} {record.playlist_names or ''}".lower(),
        tags=tuple(record.tags),
    )


def stored_card(stored: Mapping[str, Any], window: int) -> Card:
    """Build a card from the admin snapshot, while PostgreSQL does not answer."""
    dry = len(stored.get("dry_blocks") or ())
    return Card(
        code=str(stored["id"]),
        name=str(stored["name"]),
        is_online=stored["status"] == "online",
        state="playing",
        now=None,
        is_shown=False,
        playlist=stored["playlist"],
        queued=int(stored["queued"]),
        window=window,
        built_at=None,
        has_called=True,
        problems=(f"No post matches {dry} of its blocks: they are left out.",) if dry else (),
        severity=Severity.DEGRADED if dry else Severity.NONE,
        found_by=f"{stored['name']} {stored['id']} {stored['playlist'] or ''}".lower(),
    )


def shown_pick(pick: ViewedPick, posts: Mapping[str, PostRecord]) -> ShownPick:
    """Build the view of a position of a plan."""
    post = posts.get(pick.video_id)
    return ShownPick(
        post_id=pick.video_id,
        position=pick.position,
        loop=pick.loop,
        place=place_of(pick.position, pick.loop),
        text=(post.text if post else None) or "(the post was deleted)",
        search=pick.search_term,
        reason=reason_of(pick.tier),
        permalink=page_url(post.permalink) if post else None,
        media=media_url(post.id, post.video_url, post.width, post.height) if post else None,
        poster=poster_of(post),
    )


class ShownPlay(NamedTuple):
    """A play of the history; ``outcome`` is shown, skipped or failed.

    ``is_there``: the post still exists.
    """

    post_id: str
    is_there: bool
    played_at: datetime
    text: str
    search: str | None
    outcome: str
    poster: str | None


def shown_play(play: PlayRecord) -> ShownPlay:
    """Build the view of a play."""
    return ShownPlay(
        play.video_id,
        play.text is not None,
        play.played_at,
        play.text or "(the post was deleted)",
        play.search,
        play.outcome,
        poster_url(play.video_id, play.thumbnail_url, play.width, play.height),
    )


def poster_of(post: PostRecord | None) -> str | None:
    """The address of a post's still picture."""
    if post is None:
        return None
    return poster_url(post.id, post.thumbnail_url, post.width, post.height)


def video_ids(view: TimelineView | None, most: int) -> list[str]:
    """The ids of the posts that the page shows."""
    return [] if view is None else [pick.video_id for pick in view.ahead[:most]]


def shown_blocks(
    blocks: Sequence[BlockRecord],
    totals: Mapping[tuple[str, str], int],
    seen: Mapping[Any, int],
    view: TimelineView | None,
) -> list[ShownBlock]:
    """Build the views of a playlist's blocks."""
    dry = set(view.dry_blocks) if view else set()
    return [
        ShownBlock(
            id=block.id,
            search=block.search_term,
            video_count=block.video_count,
            fetch_mode=block.fetch_mode,
            format=block.format,
            total=totals.get((block.term or "", block.format)),
            seen=seen.get(block.id, 0),
            is_dry=block.id in dry,
        )
        for block in blocks
    ]


def dagster_links(settings: Settings, code: str | None = None) -> list[tuple[str, str]]:
    """(title, address) of a page's assets in the Dagster UI; empty if the UI's address is unset."""
    if settings.dagster_ui_url is None:
        return []
    base = str(settings.dagster_ui_url).rstrip("/")
    if code is None:
        return [
            ("Asset graph", f"{base}/asset-groups"),
            ("Counts", f"{base}/assets/video_counts_by_search"),
            ("Runs", f"{base}/runs"),
        ]
    partition = f"?view=partitions&partition={quote(code)}"
    return [
        ("Timeline", f"{base}/assets/display_timelines{partition}"),
        ("Active playlist", f"{base}/assets/active_playlists{partition}"),
        ("Snapshot", f"{base}/assets/timeline_cache{partition}"),
    ]
