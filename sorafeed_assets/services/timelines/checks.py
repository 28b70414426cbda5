"""Checks of stored plans and queues: each returns the problems it found, by display."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Engine

from sorafeed_assets.domain.errors import PlanAuditError, SorafeedError
from sorafeed_assets.domain.timelines.audit import audit_schedule
from sorafeed_assets.domain.timelines.plan import Schedule, Tier, place_of
from sorafeed_assets.domain.timelines.record import content_hash, replan
from sorafeed_assets.storage.timelines.queues import wrong_formats
from sorafeed_assets.storage.timelines.reads import (
    Build,
    DisplayRow,
    QueueRow,
    load_builds,
    load_displays,
    load_queues,
)

Problems = dict[str, list[str]]

_NO_PLAN: Final = Schedule(())


def check_queues(engine: Engine, display_ids: Sequence[str], window: int) -> Problems:
    """Queues that exceed the window, have gaps, or differ from the active plan."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        displays = load_displays(connection, display_ids)
        builds = load_builds(connection, display_ids)
        queues = load_queues(connection, display_ids)
    found = {
        display_id: _queue_problems(
            display, builds.get(display_id), queues.get(display_id, []), window
        )
        for display_id, display in displays.items()
    }
    return {display_id: problems for display_id, problems in found.items() if problems}


def _queue_problems(
    display: DisplayRow, build: Build | None, queue: Sequence[QueueRow], window: int
) -> list[str]:
    problems: list[str] = []
    if len(queue) > window:
        problems.append(f"{len(queue)} videos are queued, the window is {window}")
    if any(row.build_id != display.active_build_id for row in queue):
        problems.append("a row is of a build that is not the active one")
    schedule = _NO_PLAN if build is None else build.schedule
    ahead = schedule.ahead(display.loop_iteration, display.timeline_position)
    if len(queue) < min(window, len(ahead)):
        problems.append(f"{len(queue)} videos are queued, the plan has {len(ahead)} ahead")
    for place, row in enumerate(queue):
        at = place_of(row.timeline_position, row.loop_iteration)
        if place >= len(ahead):
            problems.append(f"{at} is queued, but the plan ends before it")
            continue
        loop, pick = ahead[place]
        if (row.loop_iteration, row.timeline_position) != (loop, pick.position):
            problems.append(f"{at} is queued where {place_of(pick.position, loop)} belongs")
        elif (row.video_id, row.block_id) != (pick.post_id, pick.block_id):
            problems.append(f"{at} plays {row.video_id}, the plan says {pick.post_id}")
        if place > 0 and row.status != "queued":
            problems.append(f"{at} is {row.status}, but it is not the head")
    head = queue[0].id if queue else None
    if display.current_timeline_video_id != head:
        problems.append("current_timeline_video_id is not the head of the queue")
    return problems


def check_plans(engine: Engine, display_ids: Sequence[str]) -> Problems:
    """Plans that break a rule: sizes, formats, order, or an avoidable repeat."""
    with engine.connect() as connection:
        builds = load_builds(connection, display_ids)
        picks = [
            (display_id, plan.loop, pick.position, pick.post_id, formats[pick.block_id])
            for display_id, build in builds.items()
            for formats in [{block.id: block.format for block in build.inputs.blocks}]
            for plan in build.schedule.loops
            for pick in plan.picks
            if pick.tier is not Tier.KEPT and pick.block_id in formats
        ]
        wrong = wrong_formats(
            connection, [(n, post, format_) for n, (*_, post, format_) in enumerate(picks)]
        )
    problems: Problems = {}
    for display_id, build in builds.items():
        try:
            audit_schedule(build.schedule, build.inputs)
        except PlanAuditError as error:
            problems[display_id] = [str(error)]
    for number in sorted(wrong):
        display_id, loop, position, post_id, format_ = picks[number]
        problems.setdefault(display_id, []).append(
            f"{place_of(position, loop)} is {post_id}, which is not {format_}"
        )
    return problems


def check_replans(engine: Engine, display_ids: Sequence[str]) -> Problems:
    """Plans that differ from their hash, or from a new plan of the same inputs."""
    with engine.connect() as connection:
        builds = load_builds(connection, display_ids)
    problems: Problems = {}
    for display_id, build in builds.items():
        has = f"build {build.id} has hash {build.content_hash}"
        try:
            again = replan(build.inputs)
        except SorafeedError as error:
            problems[display_id] = [f"build {build.id}: {error}"]
            continue
        stored = content_hash(build.schedule, build.playlist_version)
        if again != build.content_hash:
            problems[display_id] = [f"{has}, planning again gives {again}"]
        elif stored != build.content_hash:
            problems[display_id] = [f"{has}, its stored plan has {stored}"]
    return problems
