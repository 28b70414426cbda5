"""Jumps: a display shows the video before once more, or a chosen one at once.

What was on screen is recorded as a skipped play, like a skip. The loop keeps what it has shown, and
nothing that it has yet to show is lost.
"""

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy import Connection

from sorafeed_assets.domain.errors import NotFoundError, SorafeedError, UnavailableError
from sorafeed_assets.domain.text import shown
from sorafeed_assets.domain.timelines.jumps import MOST_BACK, Shown, jump_back, jump_to
from sorafeed_assets.domain.timelines.plan import Pick, Start, Tier
from sorafeed_assets.services.timelines.planning import kept_picks
from sorafeed_assets.services.timelines.rebuild import Outcomes
from sorafeed_assets.storage.timelines import jumps as sql
from sorafeed_assets.storage.timelines.reads import (
    Build,
    DisplayRow,
    QueueRow,
    hold_playlists,
    load_builds,
    load_displays,
    load_queues,
)
from sorafeed_assets.storage.timelines.writes import begin_head

Rebuild = Callable[[Mapping[str, Start]], Outcomes]
"""Plans and publishes the display, from a given start or from where it stands."""


def jump(connection: Connection, display_id: str, video_id: str | None, rebuild: Rebuild) -> None:
    """Send a display to a video of its plan or of its history, or without one to the video before.

    A display that shows the video already stays as it is. The caller holds the display's lock, and
    rolls back after an error.

    Raises:
        NotFoundError: there is no such display or video.
        SorafeedError: the display cannot be planned.
    """
    _check(display_id, rebuild({}))
    display = load_displays(connection, [display_id])[display_id]
    build = load_builds(connection, [display_id]).get(display_id)
    if build is None:
        raise NotFoundError(f"display {display_id} plays no playlist; activate one first")
    head = next(iter(load_queues(connection, [display_id]).get(display_id, ())), None)
    playing = head if head is not None and head.status == "playing" else None
    if video_id is None:
        start = _before(connection, display, build, playing)
    elif playing is not None and playing.video_id == video_id:
        return
    else:
        start = _chosen(connection, display, build, playing, video_id)
    wanted = start.kept[start.position].post_id
    if not sql.playable_posts(connection, [wanted]):
        raise NotFoundError(
            f"the post {shown(wanted)} was deleted or is excluded; choose another video"
        )
    if hold_playlists(connection, [build.playlist_id]) and playing is not None:
        sql.leave_entry(connection, playing.id)
    _check(display_id, rebuild({display_id: start}))
    first = next(iter(load_queues(connection, [display_id]).get(display_id, ())), None)
    if first is None or first.video_id != wanted:
        raise UnavailableError(f"display {display_id} was changed meanwhile; try again")
    begin_head(connection, display_id, first.id)


def _check(display_id: str, outcomes: Outcomes) -> None:
    outcome = outcomes[display_id]
    if isinstance(outcome, SorafeedError):
        raise outcome


def _picks(build: Build, loop: int) -> Sequence[Pick]:
    return next((plan.picks for plan in build.schedule.loops if plan.loop == loop), ())


def _shown(display: DisplayRow, build: Build, playing: QueueRow | None) -> int:
    """How many picks of its loop a display has shown: after a step back, some are ahead."""
    on_screen = display.timeline_position + (playing is not None)
    return max(on_screen, kept_picks(build.inputs, display.loop_iteration))


def _before(
    connection: Connection, display: DisplayRow, build: Build, playing: QueueRow | None
) -> Start:
    loop, position = display.loop_iteration, display.timeline_position
    earlier = () if position else sql.last_shown(connection, display.id, MOST_BACK)
    start = jump_back(
        loop,
        _picks(build, loop),
        position,
        _shown(display, build, playing),
        [Shown(row["video_id"], row["block_id"]) for row in reversed(earlier)],
    )
    if start is None:
        raise NotFoundError(f"display {display.id} has no video before the one that it shows")
    return start


def _chosen(
    connection: Connection,
    display: DisplayRow,
    build: Build,
    playing: QueueRow | None,
    video_id: str,
) -> Start:
    loop, position = display.loop_iteration, display.timeline_position
    ahead = build.schedule.ahead(loop, position)
    chosen = next((pick for _, pick in ahead if pick.post_id == video_id), None)
    if chosen is None:
        block_id = sql.block_shown_in(connection, display.id, video_id)
        if block_id is None:
            raise NotFoundError(
                f"display {display.id} has no video {shown(video_id)} in its plan or its history;"
                " choose one that it plays next or has shown"
            )
        chosen = Pick(0, block_id, 0, video_id, Tier.KEPT)
    place = position if playing is None else position + 1
    return jump_to(loop, _picks(build, loop), place, _shown(display, build, playing), chosen)
