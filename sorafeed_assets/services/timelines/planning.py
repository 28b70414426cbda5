"""Planning many displays at once: plan, read more candidates where needed, verify, audit."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final

from sqlalchemy import Connection

from sorafeed_assets.domain.errors import SorafeedError
from sorafeed_assets.domain.playlists.playlist import Playlist, check_playlist, playlist_version
from sorafeed_assets.domain.timelines.audit import audit_schedule
from sorafeed_assets.domain.timelines.plan import (
    Pick,
    Planner,
    ScheduleResult,
    Start,
    Tier,
    keep_played,
    plan_schedule,
)
from sorafeed_assets.domain.timelines.record import PlanInputs, content_hash, deciding
from sorafeed_assets.services.timelines.candidate_book import CandidateBook
from sorafeed_assets.services.timelines.creators import Creators
from sorafeed_assets.services.timelines.last_plays import LastPlays
from sorafeed_assets.storage.catalog.matches import MatchQuery, stale_matches
from sorafeed_assets.storage.timelines.jumps import playable_posts
from sorafeed_assets.storage.timelines.reads import Build, DisplayRow, QueueRow

# Plays are read a few times as far ahead as a plan looked, because another read costs more.
_AHEAD_TIMES: Final = 4
_AHEAD: Final = 8


@dataclass(frozen=True, slots=True)
class Task:
    """A display to plan: its active playlist, the plan's start and reach, and its planner."""

    display_id: str
    playlist: Playlist
    start: Start
    ahead: int
    planner: Planner


@dataclass(frozen=True, slots=True)
class Planned:
    """An audited plan of one display, and those of its inputs that are stored."""

    task: Task
    result: ScheduleResult
    inputs: PlanInputs
    content_hash: str


def plays_on(build: Build | None, playlist: Playlist) -> bool:
    """Whether the build plays this playlist, in this or an earlier version."""
    return build is not None and build.playlist_id == playlist.id


def start_of(
    display: DisplayRow, playlist: Playlist, build: Build | None, queue: Sequence[QueueRow]
) -> Start:
    """Where to start: at position 0 for a new playlist, else with what stays of the loop."""
    if build is None or not plays_on(build, playlist):
        return Start()
    current = build.schedule.since(display.loop_iteration).loops
    if not current or current[0].loop != display.loop_iteration:
        return Start(display.loop_iteration)
    head = (display.loop_iteration, display.timeline_position)
    first = next((r for r in queue if (r.loop_iteration, r.timeline_position) == head), None)
    is_excluded = first is not None and first.is_excluded
    playing = first is not None and first.status == "playing" and not is_excluded
    start = keep_played(
        current[0],
        build.inputs.blocks,
        playlist.blocks,
        head[1],
        playing=playing,
        kept=kept_picks(build.inputs, display.loop_iteration),
    )
    # An excluded head leaves, even if it is on screen or was kept by a jump.
    return replace(start, kept=start.kept[: start.position]) if is_excluded else start


def kept_picks(inputs: PlanInputs, loop: int) -> int:
    """How many picks of a loop a plan kept."""
    return next((len(source.kept) for source in inputs.loops if source.loop == loop), 0)


def plan_displays(
    connection: Connection,
    book: CandidateBook,
    last_plays: LastPlays,
    tasks: Sequence[Task],
) -> dict[str, Planned | SorafeedError]:
    """Plan each task; returns an error for a display whose playlist cannot be planned."""
    planned: dict[str, Planned | SorafeedError] = {}
    creators = Creators(connection)
    valid: list[Task] = []
    queries: list[MatchQuery] = []
    for task in tasks:
        try:
            check_playlist(task.playlist)
            queries += [book.query_of(block) for block in task.playlist.blocks]
            valid.append(task)
        except SorafeedError as error:
            planned[task.display_id] = error
    book.prepare(connection, queries)
    valid = _without_gone(connection, book, valid)
    for task, result in _results(connection, book, last_plays, creators, valid):
        version = playlist_version(task.playlist.blocks)
        inputs = PlanInputs(version, task.playlist.blocks, result.inputs, task.planner.name)
        try:
            audit_schedule(result.schedule, inputs)
        except SorafeedError as error:
            planned[task.display_id] = error
        else:
            hashed = content_hash(result.schedule, version)
            stored = deciding(result.schedule, inputs)
            planned[task.display_id] = Planned(task, result, stored, hashed)
    return planned


def _without_gone(connection: Connection, book: CandidateBook, tasks: Sequence[Task]) -> list[Task]:
    """End what plans keep ahead of their heads before the first post that does not match any more.

    Only a display that went back keeps picks there.
    """
    ahead = {task.display_id: task.start.kept[task.start.position + 1 :] for task in tasks}
    if not any(ahead.values()):
        return list(tasks)
    there = playable_posts(connection, {p.post_id for picks in ahead.values() for p in picks})
    queries = {
        task.display_id: {block.id: book.query_of(block) for block in task.playlist.blocks}
        for task in tasks
    }
    asked = {
        (queries[display_id][pick.block_id], pick.post_id)
        for display_id, picks in ahead.items()
        for pick in picks
        if pick.tier is not Tier.KEPT
    }
    stale = stale_matches(connection, asked) if asked else set()

    def is_gone(display_id: str, pick: Pick) -> bool:
        if pick.tier is Tier.KEPT:
            return pick.post_id not in there
        return (queries[display_id][pick.block_id], pick.post_id) in stale

    def cut(task: Task) -> Task:
        start = task.start
        end = next(
            (p.position for p in ahead[task.display_id] if is_gone(task.display_id, p)),
            len(start.kept),
        )
        return replace(task, start=replace(start, kept=start.kept[:end]))

    return [cut(task) for task in tasks]


def _results(
    connection: Connection,
    book: CandidateBook,
    last_plays: LastPlays,
    creators: Creators,
    tasks: Sequence[Task],
) -> list[tuple[Task, ScheduleResult]]:
    """Plan until no plan wants more candidates and every pick is still a match."""
    done: list[tuple[Task, ScheduleResult]] = []
    pending = list(tasks)
    while pending:
        wanting: set[MatchQuery] = set()
        again: list[Task] = []
        ready: list[tuple[Task, ScheduleResult, set[tuple[MatchQuery, str]]]] = []
        for task, result in _plan_known(book, last_plays, creators, pending):
            if result.wanting:
                again.append(task)
                wanting |= {
                    book.query_of(b) for b in task.playlist.blocks if b.id in result.wanting
                }
            else:
                ready.append((task, result, _picks(book, task, result)))
        stale = book.drop_stale(connection, set().union(*(picks for _, _, picks in ready)))
        for task, result, picks in ready:
            if picks.isdisjoint(stale):
                done.append((task, result))
            else:
                again.append(task)
        book.extend(connection, wanting)
        pending = again
    return done


def _plan_known(
    book: CandidateBook, last_plays: LastPlays, creators: Creators, tasks: Sequence[Task]
) -> list[tuple[Task, ScheduleResult]]:
    """Plan each task with the plays of every post that its plan examines, and with creators."""
    planned: dict[str, ScheduleResult] = {}
    pending = list(tasks)
    while pending:
        looked_at: list[tuple[Task, set[str]]] = []
        wanted: dict[str, set[str]] = {}
        unnamed: set[str] = set()
        again: list[Task] = []
        for task in pending:
            display_id = task.display_id
            result = planned[display_id] = _plan(book, last_plays, creators, task)
            unknown = last_plays.unknown(display_id, _looked_at(result))
            if unknown:
                looked_at.append((task, unknown))
                ahead = last_plays.unknown(display_id, _ahead(book, task, result))
                wanted[display_id] = unknown | ahead
            elif task.planner.needs_creators and (new := creators.unknown(_posts(result))):
                unnamed |= new
                again.append(task)
        if wanted:
            last_plays.read(wanted)
        if unnamed:
            creators.read(unnamed)
        # Posts without plays were already planned as not played, without a creator likewise.
        pending = [
            task
            for task, posts in looked_at
            if task.planner.needs_creators
            or not posts.isdisjoint(last_plays.plays(task.display_id))
        ] + again
    return [(task, planned[task.display_id]) for task in tasks]


def _plan(
    book: CandidateBook, last_plays: LastPlays, creators: Creators, task: Task
) -> ScheduleResult:
    return plan_schedule(
        task.playlist.blocks,
        lambda block, loop: book.candidates(task.display_id, block, loop),
        last_plays.plays(task.display_id),
        last_plays.latest(task.display_id),
        task.start,
        task.ahead,
        task.planner,
        creators.known,
    )


def _posts(result: ScheduleResult) -> set[str]:
    return {pick.post_id for plan in result.schedule.loops for pick in plan.picks}


def _looked_at(result: ScheduleResult) -> set[str]:
    return {
        post
        for loop in result.looked_at
        for source in loop.candidates.values()
        for post in source.ids
    }


def _ahead(book: CandidateBook, task: Task, result: ScheduleResult) -> set[str]:
    """The next posts of a plan, which it needs if the examined ones were played."""
    blocks = {block.id: block for block in task.playlist.blocks}
    return {
        post
        for loop in result.looked_at
        for block_id, source in loop.candidates.items()
        for post in islice(
            book.candidates(task.display_id, blocks[block_id], loop.loop).ids,
            _AHEAD_TIMES * len(tuple(source.ids)) + _AHEAD,
        )
    }


def _picks(book: CandidateBook, task: Task, result: ScheduleResult) -> set[tuple[MatchQuery, str]]:
    """The new picks of a plan, as (query, post id)."""
    queries = {block.id: book.query_of(block) for block in task.playlist.blocks}
    return {
        (queries[pick.block_id], pick.post_id)
        for plan, source in zip(result.schedule.loops, result.inputs, strict=True)
        for pick in plan.picks[len(source.kept) :]
        if pick.tier is not Tier.KEPT
    }
