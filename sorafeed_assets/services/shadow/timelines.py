"""Comparing timelines: our planner and the model of the old way, from the same state.

The state is that of a display's active playlist, of the posts indexed before one moment, and of
the plays that count for its next plan. Both fill one loop from its start; neither writes. The old
way is run twice, because it picks at random.
"""

import random
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, Engine

from sorafeed_assets.domain.catalog.search import Format, matches, size_class
from sorafeed_assets.domain.errors import SorafeedError, TimedOutError
from sorafeed_assets.domain.playlists.playlist import Block, FetchMode, Playlist
from sorafeed_assets.domain.shadow.audits import audit_old
from sorafeed_assets.domain.shadow.costs import Cost
from sorafeed_assets.domain.shadow.newest import NewestBlock, compare_newest
from sorafeed_assets.domain.shadow.old_way import OldPick, OldRun, OldTimeline, Stage
from sorafeed_assets.domain.shadow.outcome import Reason, Rule, conclude, not_compared
from sorafeed_assets.domain.shadow.posts import (
    Post,
    Row,
    exclusion_dropped,
    why_counted_once,
)
from sorafeed_assets.domain.shadow.properties import Properties, RandomBlock, compare_random
from sorafeed_assets.domain.timelines.plan import Candidates, LoopInputs, Pick, Start, Tier
from sorafeed_assets.services.legacy.catalog import POSTS
from sorafeed_assets.services.timelines.book import CandidateBook
from sorafeed_assets.services.timelines.planning import Planned, Task, plan_displays
from sorafeed_assets.services.timelines.plays import PlayHistory
from sorafeed_assets.storage.legacy.posts import read_cursors
from sorafeed_assets.storage.postgres.engine import snapshot
from sorafeed_assets.storage.shadow import comparisons as stored
from sorafeed_assets.storage.shadow import state
from sorafeed_assets.storage.shadow.comparisons import Compared
from sorafeed_assets.storage.shadow.old_way import OldWay

# Posts newer than the state are left out of our candidates; more than this is no small change.
_MOST_NEWER: Final = 200_000
_SEEDS: Final = (1, 2)


class _BoundedBook(CandidateBook):
    """Candidates without posts that are newer than the state."""

    def __init__(self, pool_size: int, newer: Collection[str]) -> None:
        super().__init__(pool_size)
        self._newer = frozenset(newer)

    def candidates(self, display_id: str, block: Block, loop: int) -> Candidates:
        """The block's candidates in play order, as far as they are read."""
        found = super().candidates(display_id, block, loop)
        return Candidates(_Without(found.ids, self._newer), found.complete)


@dataclass(frozen=True, slots=True)
class _Without:
    ids: Iterable[str]
    left_out: frozenset[str]

    def __iter__(self) -> Iterator[str]:
        return (post for post in self.ids if post not in self.left_out)


@dataclass(frozen=True, slots=True)
class _Sides:
    """What both sides play, and the posts of it."""

    ours: Sequence[Pick]
    runs: Sequence[OldRun]
    inputs: LoopInputs
    played: Collection[str]
    posts: Mapping[str, Post]


def safe_moment(engine: Engine) -> datetime | None:
    """All posts indexed before it are here and in the pools; None before the first copy is."""
    with engine.connect() as connection:
        cursor = read_cursors(connection).get(POSTS)
        if cursor is None or cursor.indexed_at is None or not cursor.is_complete:
            return None
        pending = state.first_pending(connection)
    return cursor.indexed_at if pending is None else min(cursor.indexed_at, pending)


def compare_timeline(
    engine: Engine, old: OldWay, display_id: str, playlist: Playlist, pool_size: int
) -> Compared:
    """Compare one loop of a display."""
    with snapshot(engine) as connection:
        newer = state.indexed_since(connection, old.until, _MOST_NEWER)
        if len(newer) == _MOST_NEWER:
            return _missing(display_id, "too many posts wait to be counted here")
        with state.metered(connection) as meter:
            planned = _plan(connection, display_id, playlist, pool_size, newer)
        our_cost = meter.cost
        if isinstance(planned, SorafeedError):
            finding = conclude([Reason(None, f"it cannot be planned here: {planned}")])
            return Compared(stored.TIMELINE, display_id, finding)
        played = state.played(connection, display_id)
        old.cost = Cost(0.0, 0)
        try:
            runs, cost = _old_runs(old, playlist.blocks, played)
            ours = planned.result.schedule.loops[0].picks
            ids = {pick.post_id for pick in ours}
            ids |= {pick.post_id for run in runs for pick in run.picks}
            here, there = state.rows(connection, ids), old.rows(ids)
        except TimedOutError as error:
            return _missing(display_id, str(error))
    posts = {post: Post(post, there.get(post), here.get(post)) for post in ids}
    sides = _Sides(ours, runs, planned.result.inputs[0], played, posts)
    reasons = [reason for block in playlist.blocks for reason in _block(sides, block)]
    figures = _figures(sides, playlist.blocks)
    return Compared(
        stored.TIMELINE,
        display_id,
        conclude(reasons),
        figures=figures,
        old_cost=cost,
        our_cost=our_cost,
    )


def _missing(display_id: str, why: str) -> Compared:
    return Compared(stored.TIMELINE, display_id, not_compared(why))


def _plan(
    connection: Connection,
    display_id: str,
    playlist: Playlist,
    pool_size: int,
    newer: Collection[str],
) -> Planned | SorafeedError:
    book = _BoundedBook(pool_size, newer)
    history = PlayHistory(connection, [display_id])
    ahead = sum(block.video_count for block in playlist.blocks)
    task = Task(display_id, playlist, Start(), min(ahead, 1))
    return plan_displays(connection, book, history, [task])[display_id]


def _old_runs(
    old: OldWay, blocks: Sequence[Block], played: Collection[str]
) -> tuple[list[OldRun], Cost]:
    """The old way's picks with each seed, and what the first run took.

    Without random blocks every run is the same, so there is one.
    """
    is_random = any(block.fetch_mode is FetchMode.RANDOM for block in blocks)
    runs: list[OldRun] = []
    cost = Cost(0.0, 0)
    for seed in _SEEDS if is_random else _SEEDS[:1]:
        chance = random.Random(seed)  # noqa: S311  # the old way's choice, not a secret
        runs.append(OldTimeline(old, played, chance).fill(blocks))
        cost = cost if len(runs) > 1 else old.cost
    return runs, cost


def _block(sides: _Sides, block: Block) -> list[Reason]:
    name = f"block {block.block_order + 1} ({block.search_term})"
    if block.fetch_mode is FetchMode.NEWEST:
        return _newest(sides, block, name)
    return _random(sides, block, name)


def _newest(sides: _Sides, block: Block, name: str) -> list[Reason]:
    run = sides.runs[0]
    old = _of(run.picks, block.id)
    ours = [pick for pick in sides.ours if pick.block_id == block.id]
    reasons = compare_newest(
        NewestBlock(
            block.query,
            [pick.post_id for pick in ours if pick.tier is Tier.NEW],
            [pick.post_id for pick in old if pick.stage is Stage.FIRST],
            _used_before(sides.ours, block.id),
            _used_before(run.picks, block.id),
            frozenset(sides.played if block.id in run.after_clearing else ()),
            sides.posts,
            name,
        )
    )
    dropped = [pick.post_id for pick in old if pick.stage is Stage.NO_EXCLUSIONS]
    if dropped:
        text = f"{name}: {len(dropped)} videos there have an excluded word"
        reasons.append(Reason(Rule.EXCLUSIONS_DROPPED, text))
    again = [pick.post_id for pick in ours if pick.tier is not Tier.NEW]
    cleared = [p.post_id for p in old if p.stage in {Stage.CLEARED, Stage.REPEATED}]
    if again != cleared:
        text = f"{name}: {len(again)} videos come again here, {len(cleared)} there"
        reasons.append(Reason(Rule.HISTORY_CLEARED, text))
    return reasons


def _random(sides: _Sides, block: Block, name: str) -> list[Reason]:
    used_here = _used_before(sides.ours, block.id)
    ours = [pick.post_id for pick in sides.ours if pick.block_id == block.id]
    runs = [[pick.post_id for pick in _of(run.picks, block.id)] for run in sides.runs]
    properties = [
        _properties(sides, block, ids, _used_before(run.picks, block.id))
        for ids, run in zip(runs, sides.runs, strict=True)
    ]
    explained = _unavailable(sides, block, runs, used_here)
    mine = _properties(sides, block, ours, used_here)
    reasons = compare_random(
        RandomBlock(name, block.video_count, mine, properties, tuple(explained.items()))
    )
    dropped = [
        post for ids in runs for post in ids if exclusion_dropped(block.query, sides.posts[post])
    ]
    if dropped:
        text = f"{name}: {len(dropped)} videos there have an excluded word"
        reasons.append(Reason(Rule.EXCLUSIONS_DROPPED, text))
    return reasons


def _unavailable(
    sides: _Sides, block: Block, runs: Sequence[Sequence[str]], used_here: Collection[str]
) -> dict[Rule, int]:
    """Rule → how many picks of an old run we cannot make by it."""
    explained: dict[Rule, int] = {}
    for ids in runs:
        found: dict[Rule, int] = {}
        for post in set(ids):
            rule = why_counted_once(block.query, sides.posts[post])
            if rule is None and post in used_here:
                rule = Rule.USED_EARLIER
            if rule is None and exclusion_dropped(block.query, sides.posts[post]):
                rule = Rule.EXCLUSIONS_DROPPED
            if rule is not None:
                found[rule] = found.get(rule, 0) + 1
        explained |= {rule: max(n, explained.get(rule, 0)) for rule, n in found.items()}
    return explained


def _properties(
    sides: _Sides, block: Block, ids: Sequence[str], used: Collection[str]
) -> Properties:
    seen = set(used)
    new = repeats = replays = wrong = 0
    for post in ids:
        if post in seen:
            repeats += 1
        elif post in sides.played:
            replays += 1
        else:
            new += 1
        seen.add(post)
        row = sides.posts[post].here
        wrong += row is None or not _plays(block, row)
    return Properties(len(ids), new, repeats, replays, wrong)


def _plays(block: Block, row: Row) -> bool:
    """Whether a block may play a post."""
    shape = size_class(row.width, row.height)
    return matches(block.query, row.text) and (
        block.format is Format.MIXED or shape == block.format.value
    )


def _of(picks: Sequence[OldPick], block_id: UUID) -> list[OldPick]:
    return [pick for pick in picks if pick.block_id == block_id]


def _used_before(picks: Sequence[Pick] | Sequence[OldPick], block_id: UUID) -> set[str]:
    """The posts of the blocks before this one."""
    used: set[str] = set()
    for pick in picks:
        if pick.block_id == block_id:
            break
        used.add(pick.post_id)
    return used


def _figures(sides: _Sides, blocks: Sequence[Block]) -> dict[str, Any]:
    """How many videos each side plays, and what the plan audit says about the old way."""
    known = {
        block: tuple(islice(found.ids, 10_000)) for block, found in sides.inputs.candidates.items()
    }
    return {
        "here": len(sides.ours),
        "there": [len(run.picks) for run in sides.runs],
        "audit": [
            audit_old(run.picks, blocks, known, sides.inputs.plays, sides.played)
            for run in sides.runs
        ],
    }
