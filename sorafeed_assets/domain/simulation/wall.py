"""A wall of simulated displays: plays, edits, posts and deletes in the order of their times.

Displays do not know each other, so they are simulated in groups of bounded memory; the catalogue is
the same for all. Only what they share, the time of those who settle them, is a figure: `cycle`.
"""

import heapq
import json
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final
from uuid import UUID

from sorafeed_assets.domain.catalog.search import Format
from sorafeed_assets.domain.errors import InvalidInputError
from sorafeed_assets.domain.playlists.playlist import (
    Block,
    FetchMode,
    playlist_version,
)
from sorafeed_assets.domain.simulation.catalogue import (
    USUAL_RATES,
    Catalogue,
    Rates,
    post_id,
    zipf_shares,
)
from sorafeed_assets.domain.simulation.display import MEAN_SECONDS, Display
from sorafeed_assets.domain.simulation.tally import (
    ROWS_OF_A_CHANGED_PLAN,
    ROWS_OF_A_PLAY,
    ROWS_OF_A_POST,
    ROWS_OF_AN_EQUAL_PLAN,
    Tally,
)
from sorafeed_assets.domain.timelines.plan import ScheduleResult, Tier
from sorafeed_assets.domain.timelines.planners.in_order import IN_ORDER
from sorafeed_assets.domain.timelines.reach import LEAST_WINDOWS, REACH_WINDOWS
from sorafeed_assets.domain.timelines.record import (
    PlanInputs,
    deciding,
    inputs_to_json,
    schedule_to_json,
)

HOUR: Final = 3_600.0
DAY: Final = 86_400.0
_POLL_SECONDS: Final = 1.0
# The blocks of a playlist that runs today: 12 with 52 videos.
_COUNTS: Final = (2, 10, 2, 1, 10, 2, 8, 2, 5, 7, 1, 2)
_LOOP_SECONDS: Final = sum(_COUNTS) * MEAN_SECONDS
_NEWEST_SHARE: Final = 0.3
_BEGIN_SECONDS: Final = 600.0
# One plan in so many is written as JSON, to know how large it is.
_SIZED: Final = 61
# Bytes of a group: its displays and, by hour, what they have played.
_GROUP_BYTES: Final = 500_000_000
_DISPLAY_BYTES: Final = 40_000
_HOUR_BYTES: Final = 60_000


@dataclass(frozen=True, slots=True)
class WallPlan:
    """What to simulate.

    Attributes:
        displays: how many.
        hours: for how long.
        posts: the catalogue at the beginning.
        terms: how many searches the playlists use.
        rates: what happens in a day.
        settle_seconds: the processor time of settling a display, measured.
        settlers: how many processes settle.
        window: how many positions are queued ahead.
        pool_size: the candidates of a pool.
        seed: the same seed gives the same wall.

    Raises:
        InvalidInputError: the settlers cannot keep up with plans that are about to end.
    """

    displays: int
    hours: float = 1.0
    posts: int = 3_100_000
    terms: int = 200
    rates: Rates = USUAL_RATES
    settle_seconds: float = 0.007
    settlers: int = 1
    window: int = 5
    pool_size: int = 500
    seed: int = 1

    def __post_init__(self) -> None:
        busy = self._busy_for_ends
        if busy >= self.settlers:
            raise InvalidInputError(
                "settlers",
                f"plans that are about to end keep {busy:.1f} processes busy; give at least"
                f" {math.floor(busy) + 1} to settle {self.displays:,} displays",
            )

    @property
    def _busy_for_ends(self) -> float:
        """How many settlers plans that are about to end keep busy: one plan a loop and display."""
        return self.displays * self.settle_seconds / _LOOP_SECONDS

    @property
    def cycle(self) -> float:
        """How often a display is settled for new posts at most, in seconds.

        Once a second, or as often as the settlers reach it when all displays wait, in the time that
        plans about to end, which go first, leave to them.
        """
        free = self.settlers - self._busy_for_ends
        return max(_POLL_SECONDS, self.displays * self.settle_seconds / free)

    @property
    def seconds(self) -> float:
        """How long is simulated."""
        return self.hours * HOUR


class _Kind(IntEnum):
    """What happens to a display; of two things at a moment the first goes first."""

    DELETE = 0
    EDIT = 1
    ENDS = 2
    POSTS = 3


def simulate_wall(
    plan: WallPlan,
    clock: Callable[[], float],
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[Tally]:
    """Simulate a wall; returns a tally for each hour that began.

    Args:
        plan: what to simulate.
        clock: processor time in seconds, for what the planner takes.
        on_progress: called with (displays done, displays).
    """
    terms = [f"term {number}" for number in range(plan.terms)]
    catalogue = Catalogue(
        zipf_shares(terms),
        posts=plan.posts,
        rates=plan.rates,
        seconds=plan.seconds,
        seed=plan.seed,
        pool_size=plan.pool_size,
    )
    tallies = [Tally() for _ in range(max(1, math.ceil(plan.hours)))]
    _count_changes(plan, catalogue, tallies)
    size = max(1, int(_GROUP_BYTES / (_DISPLAY_BYTES + _HOUR_BYTES * plan.hours)))
    for first in range(0, plan.displays, size):
        numbers = range(first, min(first + size, plan.displays))
        _Group(plan, catalogue, clock, tallies, numbers).run()
        on_progress(numbers.stop, plan.displays)
    return tallies


def _count_changes(plan: WallPlan, catalogue: Catalogue, tallies: Sequence[Tally]) -> None:
    for hour, tally in enumerate(tallies):
        begin, end = hour * HOUR, min((hour + 1) * HOUR, plan.seconds)
        tally.posts = catalogue.new_posts(end) - catalogue.new_posts(begin)
        tally.deletes = sum(begin <= at < end for at in catalogue.deletes.values())
        tally.rows += ROWS_OF_A_POST * (tally.posts + tally.deletes)


class _Group:
    """Some displays of a wall, through the whole time."""

    def __init__(
        self,
        plan: WallPlan,
        catalogue: Catalogue,
        clock: Callable[[], float],
        tallies: Sequence[Tally],
        numbers: Sequence[int],
    ) -> None:
        self._plan = plan
        self._catalogue = catalogue
        self._clock = clock
        self._numbers = numbers
        self._tallies = tallies
        self._before = Tally()
        self._rngs = [random.Random(f"{plan.seed} {number}") for number in numbers]  # noqa: S311  # to be repeated
        self._displays = [
            Display(f"D{number:05d}"[-6:], draw_playlist(catalogue.terms, rng))
            for number, rng in zip(numbers, self._rngs, strict=True)
        ]
        self._versions = [0] * len(self._displays)
        self._events: list[tuple[float, _Kind, int, int]] = []
        self._least = LEAST_WINDOWS * plan.window
        self._reach = REACH_WINDOWS * plan.window

    def run(self) -> None:
        """Simulate until the end of the time."""
        plan = self._plan
        # Displays begin one after the other, so that their loops do not end at the same time. They
        # follow in time, because the catalogue keeps only what matches at one moment.
        begins = [-rng.random() * _BEGIN_SECONDS for rng in self._rngs]
        for index in sorted(range(len(begins)), key=begins.__getitem__):
            began = begins[index]
            self._displays[index].since = began
            self._replan(index, began, plan.window)
            self._expect_edit(index, began)
        for post, moment in sorted(self._catalogue.deletes.items(), key=lambda each: each[1]):
            heapq.heappush(self._events, (moment, _Kind.DELETE, post, 0))
        while self._events and self._events[0][0] < plan.seconds:
            moment, kind, index, version = heapq.heappop(self._events)
            if kind is _Kind.DELETE:
                self._delete(post_id(index), moment)
            elif kind is _Kind.EDIT:
                self._edit(index, moment)
            elif version == self._versions[index]:
                self._play(index, moment)
                if kind is _Kind.ENDS:
                    self._at(moment).prolonged += 1
                    self._replan(index, moment, self._reach)
                else:
                    self._at(moment).settled_for_posts += 1
                    self._replan(index, moment, plan.window)
        for index in range(len(self._displays)):
            self._play(index, plan.seconds)

    def _at(self, moment: float) -> Tally:
        if moment < 0:
            return self._before
        return self._tallies[min(int(moment // HOUR), len(self._tallies) - 1)]

    def _play(self, index: int, moment: float) -> None:
        display = self._displays[index]
        for ended, pick in display.play_until(moment):
            tally = self._at(ended)
            tally.plays += 1
            tally.snapshots += 1
            tally.rows += ROWS_OF_A_PLAY
            tally.new += pick.tier is Tier.NEW
            tally.replays += pick.tier is Tier.REPLAY
            tally.repeats += pick.tier is Tier.REPEAT
            if display.position == 0:
                self._begin_loop(display, tally)

    def _begin_loop(self, display: Display, tally: Tally) -> None:
        loops = display.schedule.since(display.loop).loops
        tally.loops += 1
        tally.dry_blocks += len(loops[0].dry_blocks) if loops else 0

    def _delete(self, post: str, moment: float) -> None:
        """Settle the displays whose plan has a deleted post; they are urgent."""
        for index, display in enumerate(self._displays):
            if display.shows({post}):
                self._play(index, moment)
                if display.shows({post}):
                    self._at(moment).settled_for_deletes += 1
                    self._replan(index, moment, self._plan.window)

    def _edit(self, index: int, moment: float) -> None:
        """Exchange one block of a playlist, which is settled at once."""
        display, rng = self._displays[index], self._rngs[index]
        self._play(index, moment)
        place = rng.randrange(len(display.blocks))
        drawn = _draw_block(self._catalogue.terms, rng, place, display.blocks[place].video_count)
        blocks = list(display.blocks)
        blocks[place] = drawn
        display.blocks = tuple(blocks)
        tally = self._at(moment)
        tally.edits += 1
        tally.settled_for_edits += 1
        tally.rows += 2
        self._replan(index, moment, self._plan.window)
        self._expect_edit(index, moment)

    def _expect_edit(self, index: int, moment: float) -> None:
        per_day = self._plan.rates.edits
        if per_day > 0:
            later = moment + self._rngs[index].expovariate(per_day / DAY)
            heapq.heappush(self._events, (later, _Kind.EDIT, index, 0))

    def _replan(self, index: int, moment: float, ahead: int) -> None:
        display, tally = self._displays[index], self._at(moment)
        is_first = not display.schedule.loops
        shown = {
            (loop, pick.position, pick.post_id) for loop, pick in display.ahead(self._plan.window)
        }
        began = self._clock()
        result = display.plan(self._catalogue, moment, ahead)
        tally.planning_seconds += self._clock() - began
        tally.plans += 1
        if display.follow(result):
            tally.changed += 1
            tally.snapshots += 1
            queue = display.ahead(self._plan.window)
            kept = {(loop, pick.position, pick.post_id) for loop, pick in queue} & shown
            tally.rows += ROWS_OF_A_CHANGED_PLAN + len(shown) + len(queue) - 2 * len(kept)
            if (self._numbers[index] + self._versions[index]) % _SIZED == 0:
                tally.plan_bytes += _SIZED * _size_of(display, result)
        else:
            tally.rows += ROWS_OF_AN_EQUAL_PLAN
        if is_first:
            self._begin_loop(display, tally)
        self._expect_settling(index, moment)

    def _expect_settling(self, index: int, moment: float) -> None:
        """Note when the display is next planned; earlier notes of it no longer hold."""
        self._versions[index] += 1
        version, display = self._versions[index], self._displays[index]
        ends = display.needs_plan_at(self._least)
        if ends is not None and ends > moment:
            heapq.heappush(self._events, (ends, _Kind.ENDS, index, version))
        elif ends is not None:
            # A short loop: every play brings the plan nearer to its end.
            heapq.heappush(self._events, (moment + _POLL_SECONDS, _Kind.ENDS, index, version))
        changes = min(
            (
                self._catalogue.next_change(block.search_term, block.format, mode, moment)
                for block in display.blocks
                for mode in (block.fetch_mode,)
            ),
            default=math.inf,
        )
        if changes < math.inf:
            cycle = self._plan.cycle
            # The displays of a wall take turns.
            turn = cycle * (self._numbers[index] / self._plan.displays)
            settled = math.ceil((changes - turn) / cycle) * cycle + turn
            heapq.heappush(self._events, (max(settled, changes), _Kind.POSTS, index, version))


def draw_playlist(terms: Sequence[str], rng: random.Random) -> tuple[Block, ...]:
    """A playlist of 12 blocks and 52 videos; three blocks in ten show the newest."""
    return tuple(_draw_block(terms, rng, order, count) for order, count in enumerate(_COUNTS))


def _draw_block(terms: Sequence[str], rng: random.Random, order: int, count: int) -> Block:
    return Block(
        UUID(int=rng.getrandbits(128), version=4),
        # Frequent terms are used more often.
        terms[int(len(terms) * rng.random() ** 2)],
        count,
        FetchMode.NEWEST if rng.random() < _NEWEST_SHARE else FetchMode.RANDOM,
        rng.choice(tuple(Format)),
        order,
    )


def _size_of(display: Display, result: ScheduleResult) -> int:
    """The bytes of a plan and its inputs as they are stored."""
    version = playlist_version(display.blocks)
    inputs = PlanInputs(version, display.blocks, result.inputs, IN_ORDER.name)
    stored = deciding(result.schedule, inputs)
    documents = (schedule_to_json(result.schedule), inputs_to_json(stored))
    return sum(len(json.dumps(each, separators=(",", ":"))) for each in documents)
