"""One simulated display: its playlist, its plan, what it has played and what it plays now."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from sorafeed_assets.domain.playlists.playlist import Block, FetchMode
from sorafeed_assets.domain.simulation.catalogue import Catalogue, post_number
from sorafeed_assets.domain.timelines.plan import (
    Candidates,
    Pick,
    Schedule,
    ScheduleResult,
    Start,
    keep_played,
    plan_schedule,
)
from sorafeed_assets.domain.timelines.planners.in_order import IN_ORDER
from sorafeed_assets.domain.timelines.reach import picks_left
from sorafeed_assets.domain.timelines.shuffle import shuffle_key

_SHORTEST: Final = 5
_SPREAD: Final = 11
MEAN_SECONDS: Final = _SHORTEST + (_SPREAD - 1) / 2
"""Of a video."""
_NO_KEY: Final = 0
_MULTIPLIER: Final = 0x9E3779B97F4A7C15


class Played(NamedTuple):
    """A play: when it ended, and the pick that was shown."""

    ended: float
    pick: Pick


@dataclass(slots=True)
class Display:
    """A display that plays without pause.

    Attributes:
        code: its id.
        blocks: its playlist, which may be edited.
        planned: the blocks that the schedule was made from.
        since: when the video at its place began, in seconds.
    """

    code: str
    blocks: tuple[Block, ...]
    planned: tuple[Block, ...] = ()
    schedule: Schedule = field(default_factory=lambda: Schedule(()))
    loop: int = 0
    position: int = 0
    since: float = 0.0
    plays: dict[str, int] = field(default_factory=dict)
    played: int = 0

    def plan(self, catalogue: Catalogue, now: float, ahead: int) -> ScheduleResult:
        """Make a new plan, as the engine does, without following it.

        It reaches ``ahead`` picks, or as many loops as the plan before.
        """

        def candidates_for(block: Block, loop: int) -> Candidates:
            mode = block.fetch_mode
            key = _NO_KEY if mode is FetchMode.NEWEST else shuffle_key(self.code, block.id, loop)
            return catalogue.candidates(block.search_term, block.format, mode, now, key)

        start, reach = Start(), ahead
        if self.schedule.loops:
            reach = max(ahead, self.schedule.fewest_ahead(self.loop, self.position))
            start = Start(self.loop)
            current = self.schedule.since(self.loop).loops
            if current and current[0].loop == self.loop:
                start = keep_played(
                    current[0],
                    self.planned,
                    self.blocks,
                    self.position,
                    playing=self.position < len(current[0].picks),
                )
        return plan_schedule(
            self.blocks, candidates_for, self.plays, self.played, start, reach, IN_ORDER
        )

    def follow(self, result: ScheduleResult) -> bool:
        """Play by a new plan from now on; returns whether it differs from the one before."""
        before = self.schedule.since(result.loop), self.planned, self.loop, self.position
        self.schedule, self.planned = result.schedule, self.blocks
        self.loop, self.position = result.loop, result.position
        return before != (result.schedule, self.blocks, self.loop, self.position)

    def ahead(self, count: int) -> list[tuple[int, Pick]]:
        """The next (loop, pick) from the one that is shown on: the queue."""
        return self.schedule.ahead(self.loop, self.position)[:count]

    def play_until(self, now: float) -> Iterator[Played]:
        """Advance through all videos that end by a second."""
        ahead = self.schedule.ahead(self.loop, self.position)
        for turn, (loop, pick) in enumerate(ahead):
            ended = self.since + seconds_of(pick.post_id)
            if ended > now:
                return
            self.played += 1
            self.plays[pick.post_id] = self.played
            self.loop, self.position, self.since = loop, pick.position + 1, ended
            if turn + 1 < len(ahead):
                self.loop, self.position = ahead[turn + 1][0], ahead[turn + 1][1].position
            yield Played(ended, pick)
        # Nothing is left: the display waits for a plan.
        self.since = max(self.since, now)

    def needs_plan_at(self, least: int) -> float | None:
        """When fewer than ``least`` picks will be ahead; None for an empty plan."""
        loops = self.schedule.loops
        if not loops or not loops[-1].picks:
            return None
        last, picks = loops[-1].loop, len(loops[-1].picks)
        at, place = self.since, (self.loop, self.position)
        for loop, pick in self.schedule.ahead(self.loop, self.position):
            if picks_left(last, picks, *place) < least:
                return at
            at += seconds_of(pick.post_id)
            place = (loop, pick.position + 1)
        return at

    def shows(self, posts: Collection[str]) -> bool:
        """Whether its plan still has one of the posts."""
        return any(
            pick.post_id in posts
            for plan in self.schedule.since(self.loop).loops
            for pick in plan.picks
        )


def seconds_of(post: str) -> int:
    """How long a video is, 5 to 15 seconds."""
    return _SHORTEST + (post_number(post) * _MULTIPLIER >> 40) % _SPREAD
