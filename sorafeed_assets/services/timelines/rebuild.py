"""Building the timelines of some displays, in the transaction of the caller."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

from opentelemetry import trace
from sqlalchemy import Connection

from sorafeed_assets.domain.errors import DisplayNotFoundError, SorafeedError
from sorafeed_assets.domain.flags.known import PLANNER
from sorafeed_assets.domain.playlists.playlist import Playlist
from sorafeed_assets.domain.timelines.plan import Planner, Schedule, Start
from sorafeed_assets.domain.timelines.planners import PLANNERS, Planners, planner_named
from sorafeed_assets.services.counts.lineage import POOLS
from sorafeed_assets.services.flags import FlagValues
from sorafeed_assets.services.timelines.candidate_book import CandidateBook
from sorafeed_assets.services.timelines.driving import Driver, driver_of
from sorafeed_assets.services.timelines.last_plays import LastPlays
from sorafeed_assets.services.timelines.planning import (
    Planned,
    Task,
    kept_picks,
    plan_displays,
    plays_on,
    start_of,
)
from sorafeed_assets.services.timelines.publishing import Published, TargetTimeline, clear, publish
from sorafeed_assets.storage.lineage_records import (
    NOTHING,
    Change,
    head_version,
    renew_heads,
    write_changes,
)
from sorafeed_assets.storage.playlists.rows import load_active_playlists
from sorafeed_assets.storage.timelines import reads as stored
from sorafeed_assets.storage.timelines import writes

_tracer: Final = trace.get_tracer(__name__)
NO_STARTS: Final[Mapping[str, Start]] = {}
"""Displays begin where they stand."""


@dataclass(frozen=True, slots=True)
class BuildOutcome:
    """The timeline of a display after a rebuild; no build without an active playlist.

    ``planned`` and ``tiers`` count the picks of the plan, ``queued`` the rows of the queue.
    """

    display_id: str
    build_id: int | None
    playlist_id: UUID | None
    playlist_version: str | None
    content_hash: str | None
    changed: bool
    loop: int
    position: int
    planned: int
    queued: int
    dry_blocks: tuple[UUID, ...] = ()
    tiers: Mapping[str, int] = field(default_factory=dict)
    planner: str | None = None


Outcomes = dict[str, BuildOutcome | SorafeedError]


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """Everything that is stored about some displays, read under their locks."""

    displays: Mapping[str, stored.DisplayRow]
    playlists: Mapping[str, Playlist]
    builds: Mapping[str, stored.Build]
    queues: Mapping[str, list[stored.QueueRow]]


def _read_snapshot(connection: Connection, display_ids: Sequence[str]) -> _Snapshot:
    """Read what is stored about displays, whose locks the caller holds."""
    return _Snapshot(
        stored.load_displays(connection, display_ids),
        load_active_playlists(connection, display_ids),
        stored.load_builds(connection, display_ids),
        stored.load_queues(connection, display_ids),
    )


@_tracer.start_as_current_span("plan")
def rebuild(
    connection: Connection,
    book: CandidateBook,
    display_ids: Sequence[str],
    window: int,
    ahead: int = 0,
    *,
    flags: FlagValues,
    planners: Planners = PLANNERS,
    starts: Mapping[str, Start] = NO_STARTS,
) -> Outcomes:
    """Plan displays by their planners, and write differences from the stored state.

    A plan reaches ``window`` picks ahead, or ``ahead``, or as many loops as the stored one. A
    display that the old system drives is left as it is. The caller holds the displays' locks, and
    has read the ``flags`` since. Displays begin where they stand, or at their ``starts``.

    Raises:
        OvertakenError: roll back, and try again with a new book.
    """
    snapshot = _read_snapshot(connection, display_ids)
    tasks, outcomes = _decide(snapshot, display_ids, max(window, ahead), flags, planners)
    tasks = [replace(task, start=starts.get(task.display_id, task.start)) for task in tasks]
    last_plays = LastPlays(connection, _going_on(snapshot, tasks))
    planned = plan_displays(connection, book, last_plays, tasks)
    targets: list[TargetTimeline] = []
    idle: list[stored.DisplayRow] = []
    for display_id in display_ids:
        if display_id in outcomes:
            continue
        display, plan = snapshot.displays[display_id], planned.get(display_id)
        if plan is None:
            idle.append(display)
        elif isinstance(plan, Planned):
            targets.append(_target(display, plan, snapshot.builds.get(display_id)))
        else:
            outcomes[display_id] = plan
    published = publish(connection, targets, snapshot.queues, window)
    for target in targets:
        outcomes[target.display.id] = _outcome(target, published[target.display.id])
    for display_id, changed in clear(connection, idle, snapshot.queues):
        outcomes[display_id] = BuildOutcome(
            display_id, None, None, None, None, changed, 0, 0, planned=0, queued=0
        )
    _keep_problems(connection, snapshot, outcomes)
    _record(connection, outcomes)
    return outcomes


def plan_on(
    connection: Connection, book: CandidateBook, display_id: str, ahead: int, flags: FlagValues
) -> Schedule:
    """What a display would play if its plan reached ``ahead`` picks ahead; nothing is written.

    It is empty without an active playlist, or with one that cannot be planned. The transaction sees
    the same rows in all statements.
    """
    snapshot = _read_snapshot(connection, [display_id])
    tasks, _ = _decide(snapshot, [display_id], ahead, flags, PLANNERS)
    last_plays = LastPlays(connection, _going_on(snapshot, tasks))
    planned = plan_displays(connection, book, last_plays, tasks).get(display_id)
    return planned.result.schedule if isinstance(planned, Planned) else Schedule(())


def _record(connection: Connection, outcomes: Outcomes) -> None:
    """Record the timelines; a display that keeps its last good build records that one."""
    built = [outcome for outcome in outcomes.values() if isinstance(outcome, BuildOutcome)]
    if built:
        pools = head_version(connection, POOLS)
        write_changes(connection, [timeline_change(outcome, pools) for outcome in built])


def renew_timelines(connection: Connection, display_ids: Collection[str]) -> None:
    """Record again the timelines that were planned from other candidates, with the same plan.

    Their displays were planned in this transaction. Dagster shows a timeline that names earlier
    candidates as "Unsynced".
    """
    pools = {POOLS: head_version(connection, POOLS)}
    renew_heads(connection, "display_timelines", display_ids, pools)


def timeline_change(outcome: BuildOutcome, pools_version: str) -> Change:
    """The lineage change of `display_timelines` for a display."""
    playlist = (
        f"{outcome.playlist_id}:{outcome.playlist_version}" if outcome.playlist_id else NOTHING
    )
    return Change(
        "display_timelines",
        outcome.display_id,
        outcome.content_hash or NOTHING,
        {"active_playlists": playlist, POOLS: pools_version},
        {
            "dagster/partition_row_count": outcome.queued,
            "planned": outcome.planned,
            "queued": outcome.queued,
            "loop": outcome.loop,
            "position": outcome.position,
            "dry_blocks": len(outcome.dry_blocks),
            "build": str(outcome.build_id or NOTHING),
            "planner": outcome.planner or NOTHING,
            **{f"picks_{tier}": picks for tier, picks in sorted(outcome.tiers.items())},
        },
    )


def _keep_problems(connection: Connection, snapshot: _Snapshot, outcomes: Outcomes) -> None:
    """Store why displays could not be planned, where the stored reason differs."""
    problems = {
        display_id: str(outcome) if isinstance(outcome, SorafeedError) else None
        for display_id, outcome in outcomes.items()
        if display_id in snapshot.displays
    }
    writes.set_plan_problems(
        connection,
        {
            display_id: problem
            for display_id, problem in problems.items()
            if problem != snapshot.displays[display_id].plan_problem
        },
    )


def _outcome(target: TargetTimeline, published: Published) -> BuildOutcome:
    """The outcome of a display whose timeline is published."""
    picks = [pick for plan in target.schedule.loops for pick in plan.picks]
    return BuildOutcome(
        target.display.id,
        published.build_id,
        target.playlist_id,
        target.playlist_version,
        target.content_hash,
        published.changed,
        target.loop,
        target.position,
        len(picks),
        published.queued,
        target.schedule.loops[0].dry_blocks if target.schedule.loops else (),
        Counter(pick.tier.value for pick in picks),
        target.inputs.planner,
    )


def _decide(
    snapshot: _Snapshot,
    display_ids: Sequence[str],
    ahead: int,
    flags: FlagValues,
    planners: Planners,
) -> tuple[list[Task], Outcomes]:
    """The displays to plan, and the outcomes of those that are not planned or cleared."""
    tasks: list[Task] = []
    outcomes: Outcomes = {}
    for display_id in display_ids:
        display = snapshot.displays.get(display_id)
        if display is None:
            outcomes[display_id] = DisplayNotFoundError(display_id)
            continue
        try:
            if driver_of(flags, display_id) is Driver.OLD:
                outcomes[display_id] = _left_outcome(snapshot, display)
            elif display_id in snapshot.playlists:
                planner = planner_named(flags.value(PLANNER, display_id), planners)
                tasks.append(_task(snapshot, display_id, ahead, planner))
        except SorafeedError as error:
            outcomes[display_id] = error
    return tasks, outcomes


def _left_outcome(snapshot: _Snapshot, display: stored.DisplayRow) -> BuildOutcome:
    """The outcome of a display that is left as it is."""
    build = snapshot.builds.get(display.id)
    return BuildOutcome(
        display.id,
        None if build is None else build.id,
        None if build is None else build.playlist_id,
        None if build is None else build.playlist_version,
        None if build is None else build.content_hash,
        changed=False,
        loop=display.loop_iteration,
        position=display.timeline_position,
        planned=0,
        queued=len(snapshot.queues.get(display.id, ())),
    )


def _task(snapshot: _Snapshot, display_id: str, ahead: int, planner: Planner) -> Task:
    playlist = snapshot.playlists[display_id]
    start = start_of(
        snapshot.displays[display_id],
        playlist,
        snapshot.builds.get(display_id),
        snapshot.queues.get(display_id, []),
    )
    reach = max(ahead, _stored_ahead(snapshot, display_id))
    return Task(display_id, playlist, start, reach, planner)


def _stored_ahead(snapshot: _Snapshot, display_id: str) -> int:
    """The fewest picks ahead with which a plan has as many loops as the stored one.

    Otherwise the next edit would drop a loop that was planned early, and a play would plan it.
    """
    build = snapshot.builds.get(display_id)
    if build is None or not plays_on(build, snapshot.playlists[display_id]):
        return 0
    display = snapshot.displays[display_id]
    return build.schedule.fewest_ahead(display.loop_iteration, display.timeline_position)


def _going_on(snapshot: _Snapshot, tasks: Sequence[Task]) -> list[str]:
    """The displays whose plays count, which those before a new playlist do not."""
    return [
        task.display_id
        for task in tasks
        if plays_on(snapshot.builds.get(task.display_id), task.playlist)
    ]


def _target(
    display: stored.DisplayRow, plan: Planned, build: stored.Build | None
) -> TargetTimeline:
    """Keep an equal stored plan: same inputs, no writes."""
    schedule, inputs, content_hash = plan.result.schedule, plan.inputs, plan.content_hash
    build_id = None
    same_playlist = plays_on(build, plan.task.playlist)
    if (
        build is not None
        and same_playlist
        and build.playlist_version == inputs.playlist_version
        and build.inputs.planner == inputs.planner
        and build.schedule.since(plan.result.loop) == schedule
        and _keeps(build, plan)
    ):
        build_id, inputs, content_hash = build.id, build.inputs, build.content_hash
    return TargetTimeline(
        display,
        plan.task.playlist.id,
        inputs.playlist_version,
        schedule,
        inputs,
        content_hash,
        plan.result.loop,
        plan.result.position,
        build_id,
        new_playlist=not same_playlist,
    )


def _keeps(build: stored.Build, plan: Planned) -> bool:
    """Whether a stored plan keeps what a new one does, where that is more than what was played."""
    first = plan.inputs.loops[0] if plan.inputs.loops else None
    if first is None or len(first.kept) <= plan.result.position + 1:
        return True
    return kept_picks(build.inputs, first.loop) >= len(first.kept)
