"""Checks of plans and queues."""

from collections.abc import Sequence
from typing import Final

from sorafeed_assets.defs.checking import DisplayCheck, Problems
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.services.timelines.checks import check_plans, check_queues, check_replans
from sorafeed_assets.services.timelines.excluding import check_excluded
from sorafeed_assets.services.timelines.queues import stale_displays


def _every_timeline_is_current(connections: Connections, displays: Sequence[str]) -> Problems:
    stale = stale_displays(connections.engine, displays)
    return {display: ["its queue does not follow its active playlist"] for display in stale}


def _queue_within_window(connections: Connections, displays: Sequence[str]) -> Problems:
    return check_queues(connections.engine, displays, window=connections.settings.window)


def _no_excluded_post_is_queued(connections: Connections, displays: Sequence[str]) -> Problems:
    return check_excluded(connections.engine, displays)


def _plan_follows_playlist(connections: Connections, displays: Sequence[str]) -> Problems:
    return check_plans(connections.engine, displays)


def _replanning_is_deterministic(connections: Connections, displays: Sequence[str]) -> Problems:
    return check_replans(connections.engine, displays)


CHECKS: Final = (
    DisplayCheck(
        "display_timelines",
        "every_timeline_is_current",
        "Every queue was built from the version of its display's active playlist.",
        _every_timeline_is_current,
    ),
    DisplayCheck(
        "display_timelines",
        "queue_within_window",
        "A queue has at most the window's rows, contiguous from the head, all of the active build.",
        _queue_within_window,
    ),
    DisplayCheck(
        "display_timelines",
        "no_excluded_post_is_queued",
        "No queue has a post that is on the blocklist, or whose creator is.",
        _no_excluded_post_is_queued,
    ),
    DisplayCheck(
        "display_timelines",
        "plan_follows_playlist",
        "Block sizes and formats are as requested, and no video repeats while others matched.",
        _plan_follows_playlist,
    ),
    DisplayCheck(
        "display_timelines",
        "replanning_is_deterministic",
        "Planning again from the stored inputs gives the stored hash.",
        _replanning_is_deterministic,
    ),
)
