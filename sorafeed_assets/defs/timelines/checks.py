"""Checks of plans and queues."""

from collections.abc import Mapping, Sequence
from typing import Final

import dagster as dg

from sorafeed_assets.defs.checking import Check
from sorafeed_assets.defs.common import check_result
from sorafeed_assets.defs.resources import Connections
from sorafeed_assets.services.playlists.editing import list_displays
from sorafeed_assets.services.timelines.checks import check_plans, check_queues, check_replans
from sorafeed_assets.services.timelines.queues import stale_displays


def _displays(connections: Connections) -> list[str]:
    return [display.id for display in list_displays(connections.engine)]


def _answer(problems: Mapping[str, Sequence[str]], looked_at: int) -> dg.AssetCheckResult:
    lines = [f"{display}: {text}" for display, texts in problems.items() for text in texts]
    return check_result(lines, looked_at)


def _every_timeline_is_current(connections: Connections) -> dg.AssetCheckResult:
    stale = stale_displays(connections.engine)
    return check_result(
        [f"{display}: its queue does not follow its active playlist" for display in stale],
        len(_displays(connections)),
    )


def _queue_within_window(connections: Connections) -> dg.AssetCheckResult:
    names = _displays(connections)
    problems = check_queues(connections.engine, names, window=connections.settings.window)
    return _answer(problems, len(names))


def _plan_follows_playlist(connections: Connections) -> dg.AssetCheckResult:
    names = _displays(connections)
    return _answer(check_plans(connections.engine, names), len(names))


def _replanning_is_deterministic(connections: Connections) -> dg.AssetCheckResult:
    names = _displays(connections)
    return _answer(check_replans(connections.engine, names), len(names))


CHECKS: Final = (
    Check(
        "display_timelines",
        "every_timeline_is_current",
        "Every queue was built from the version of its display's active playlist.",
        _every_timeline_is_current,
    ),
    Check(
        "display_timelines",
        "queue_within_window",
        "A queue holds at most the window, contiguous from its head, all of the active build.",
        _queue_within_window,
    ),
    Check(
        "display_timelines",
        "plan_follows_playlist",
        "Block sizes and formats are as asked, and nothing repeats while there was a choice.",
        _plan_follows_playlist,
    ),
    Check(
        "display_timelines",
        "replanning_is_deterministic",
        "Planning again from the stored inputs gives the stored hash.",
        _replanning_is_deterministic,
    ),
)
