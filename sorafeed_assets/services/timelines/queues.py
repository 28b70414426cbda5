"""The state of queues: which are low or dry, and which follow a plan that is out of date."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, Engine

from sorafeed_assets.domain.errors import SorafeedError
from sorafeed_assets.domain.flags.known import PLANNER
from sorafeed_assets.domain.playlists.playlist import (
    Block,
    Playlist,
    check_playlist,
    playlist_version,
)
from sorafeed_assets.services.flags.changes import load_values
from sorafeed_assets.services.timelines.candidate_book import CandidateBook
from sorafeed_assets.services.timelines.driving import Driver, driven_by, driver_of
from sorafeed_assets.storage.playlists.rows import display_ids, load_active_playlists
from sorafeed_assets.storage.postgres.engine import snapshot
from sorafeed_assets.storage.timelines.queues import (
    Depth,
    load_built_playlists,
    load_depths,
    load_differing,
    load_dry_searches,
    load_plan_problems,
    load_planners,
)

_LOW: Final = 3
# One match shows that there is a next loop; a few more are read, because some may be stale.
_FEW: Final = 10


class QueueClass(StrEnum):
    """The state of a display's queue; each display is in exactly one."""

    COMPLETE = "complete"
    """It has enough to play, even while its window is not quite full."""
    LOW = "low"
    """Its queue is short although there is more to play, or its plan ran out."""
    DRY = "dry"
    """It has nothing to play: no post matches any of its blocks."""
    NO_PLAYLIST = "no_playlist"
    """It has no active playlist."""
    OLD_SYSTEM = "old_system"
    """The old system drives it."""


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """How many displays are in each `QueueClass`; together they are all displays."""

    complete: int
    low: int
    dry: int
    no_playlist: int = 0
    old_system: int = 0


def low_displays(engine: Engine, *, low: int = _LOW) -> list[str]:
    """Displays with fewer than ``low`` videos queued although there are more to play.

    Either their plan has more, or it ended before its next loop was planned. ``low``
    is at most the window, which every plan reaches if it can.
    """
    with engine.connect() as connection:
        depths = _depths(connection, low)
        lows = _lows(connection, depths, low)
    return [depth.display_id for depth in depths if depth.display_id in lows]


def queue_status(engine: Engine, window: int) -> QueueStatus:
    """The queues of all displays, counted by class."""
    numbers = Counter(queue_classes(engine, window).values())
    return QueueStatus(**{each.value: numbers[each] for each in QueueClass})


def queue_classes(engine: Engine, window: int) -> dict[str, QueueClass]:
    """Display → the state of its queue, for all displays, at one moment."""
    low = min(_LOW, window)
    with snapshot(engine) as connection:
        displays = display_ids(connection)
        depths = _depths(connection, low)
        lows = _lows(connection, depths, low)
        old = driven_by(load_values(connection), [Driver.OLD], displays)
    classes = dict.fromkeys(displays, QueueClass.NO_PLAYLIST)
    classes |= {depth.display_id: _class_of(depth, lows) for depth in depths}
    return classes | dict.fromkeys(old, QueueClass.OLD_SYSTEM)


def _class_of(depth: Depth, lows: set[str]) -> QueueClass:
    if depth.display_id in lows or not depth.is_built:
        return QueueClass.LOW
    is_dry = depth.ahead == 0 and depth.queued == 0
    return QueueClass.DRY if is_dry else QueueClass.COMPLETE


def dry_searches(engine: Engine) -> dict[str, list[str]]:
    """Display → the searches of its plan that no post matches; other displays are missing."""
    with engine.connect() as connection:
        return load_dry_searches(connection)


def _depths(connection: Connection, low: int) -> list[Depth]:
    """The displays with an active playlist, but for those that the old system drives."""
    flags = load_values(connection)
    return [
        depth
        for depth in load_depths(connection, low)
        if driver_of(flags, depth.display_id) is not Driver.OLD
    ]


def _lows(connection: Connection, depths: Sequence[Depth], low: int) -> set[str]:
    """Which displays are low; the catalogue is read only for plans that ended."""
    lows = {d.display_id for d in depths if d.ahead is not None and d.queued < min(low, d.ahead)}
    ended = [
        depth.display_id
        for depth in depths
        if depth.display_id not in lows
        and depth.has_picks
        and depth.ahead is not None
        and depth.ahead < low
    ]
    if not ended:
        return lows
    # A plan may also end because nothing matches any more: planning again would not help it.
    book = CandidateBook(_FEW)
    playlists = load_active_playlists(connection, ended)
    return lows | {n for n, plays in playlists.items() if _goes_on(connection, book, plays)}


def _goes_on(connection: Connection, book: CandidateBook, playlist: Playlist) -> bool:
    """Whether a next loop of the playlist would have a video."""
    try:
        check_playlist(playlist)
    except SorafeedError:
        return False
    return any(_has_match(connection, book, block) for block in playlist.blocks)


def _has_match(connection: Connection, book: CandidateBook, block: Block) -> bool:
    query = book.query_of(block)
    book.prepare(connection, [query])
    while True:
        # The display and the loop affect only the order.
        found = book.candidates("", block, 0)
        post_id = next(iter(found.ids), None)
        if post_id is not None:
            if not book.drop_stale(connection, {(query, post_id)}):
                return True
        elif found.complete:
            return False
        else:
            book.extend(connection, [query])


def stale_displays(engine: Engine, display_ids: Collection[str] | None = None) -> dict[str, str]:
    """Those of some displays, or of all, whose build is not of what it should be.

    It plays another playlist or version than the active one, or was made by another planner than
    the flag `planner` says. The value names what is wanted and the build that plays instead,
    or "none" for a display that has a build but no active playlist any more. Displays that the old
    system drives are never stale.
    """
    with engine.connect() as connection:
        differing = load_differing(connection, display_ids)
        playlists = load_active_playlists(connection, differing)
        built = load_built_playlists(connection, differing)
        flags = load_values(connection)
        planners = load_planners(connection, display_ids) if flags.version else {}
    stale = {
        display_id: f"planner {wanted} in place of {planner}"
        for display_id, planner in planners.items()
        if (wanted := flags.value(PLANNER, display_id)) != planner
    }
    stale |= dict.fromkeys(built.keys() - playlists.keys(), "none")
    for display_id, playlist in playlists.items():
        wanted = playlist_version(playlist.blocks)
        *version, build = built.get(display_id, (None, None, None))
        if version != [playlist.id, wanted]:
            stale[display_id] = f"{wanted} in place of build {build}"
    left = driven_by(flags, [Driver.OLD], stale)
    return {display_id: stale[display_id] for display_id in sorted(stale.keys() - left)}


def plan_problems(engine: Engine) -> dict[str, str]:
    """Displays whose playlist could not be planned when that was last tried, and why."""
    with engine.connect() as connection:
        return load_plan_problems(connection)
