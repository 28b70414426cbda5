"""Comparing timelines: our planner and the model of the old way, from the same state.

The state is that of a display's active playlist, of the posts indexed before one moment, and of
the plays that count for its next plan. Both fill one loop from its start; neither writes. The old
way is run twice, because it picks at random.
"""

import random
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, Engine

from sorafeed_assets.domain.errors import SorafeedError, TimedOutError
from sorafeed_assets.domain.flags.known import KNOWN, PLANNER
from sorafeed_assets.domain.playlists.playlist import Block, FetchMode, Playlist
from sorafeed_assets.domain.shadow.costs import Cost
from sorafeed_assets.domain.shadow.old_way import OldRun, OldTimeline
from sorafeed_assets.domain.shadow.outcome import Reason, conclude, not_compared
from sorafeed_assets.domain.shadow.posts import Post
from sorafeed_assets.domain.shadow.timelines import Sides, compare_blocks, figures_of
from sorafeed_assets.domain.text import counted
from sorafeed_assets.domain.timelines.plan import Candidates, Start
from sorafeed_assets.domain.timelines.planners import planner_named
from sorafeed_assets.services.flags.changes import load_values
from sorafeed_assets.services.legacy.catalog import POSTS
from sorafeed_assets.services.shadow.budget import PassOverError
from sorafeed_assets.services.timelines.candidate_book import CandidateBook
from sorafeed_assets.services.timelines.last_plays import LastPlays
from sorafeed_assets.services.timelines.planning import Planned, Task, plan_displays
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
    """Compare one loop of a display. No transaction of ours is open while the old side is read."""
    with snapshot(engine) as connection:
        newer = state.indexed_since(connection, old.until, _MOST_NEWER)
        if len(newer) == _MOST_NEWER:
            return _missing(display_id, "too many posts wait to be counted here")
        with state.metered(connection) as meter:
            planned = _plan(connection, display_id, playlist, pool_size, newer)
        our_cost = meter.cost
        played = state.played(connection, display_id)
    if isinstance(planned, SorafeedError):
        finding = conclude([Reason(None, f"it cannot be planned here: {planned}")])
        return Compared(stored.TIMELINE, display_id, finding)
    loops = planned.result.schedule.loops
    ours = loops[0].picks if loops else ()
    old.cost = Cost(0.0, 0)
    try:
        runs, cost = _old_runs(old, playlist.blocks, played)
        ids = {pick.post_id for pick in ours}
        ids |= {pick.post_id for run in runs for pick in run.picks}
        there = old.rows(ids)
    except TimedOutError as error:
        return _missing(display_id, str(error))
    except PassOverError:
        return _unfinished(display_id, old.cost.statements)
    with engine.connect() as connection:
        here = state.rows(connection, ids)
    posts = {post: Post(post, there.get(post), here.get(post)) for post in ids}
    sides = Sides(ours, runs, planned.result.inputs[0], played, posts)
    reasons = compare_blocks(sides, playlist.blocks)
    figures = figures_of(sides, playlist.blocks)
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


def _unfinished(display_id: str, statements: int) -> Compared:
    """What is due again in the next pass, without waiting an hour."""
    why = (
        f"the pass was over after {counted(statements, 'statement')} for this display;"
        " it is compared in the next one"
    )
    figures = {stored.UNFINISHED: True}
    return Compared(stored.TIMELINE, display_id, not_compared(why), figures=figures)


def _plan(
    connection: Connection,
    display_id: str,
    playlist: Playlist,
    pool_size: int,
    newer: Collection[str],
) -> Planned | SorafeedError:
    book = _BoundedBook(pool_size, newer)
    history = LastPlays(connection, [display_id])
    ahead = sum(block.video_count for block in playlist.blocks)
    planner = planner_named(load_values(connection, KNOWN).value(PLANNER, display_id))
    task = Task(display_id, playlist, Start(), min(ahead, 1), planner)
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
