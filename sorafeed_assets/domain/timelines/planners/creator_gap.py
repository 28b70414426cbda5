"""The planner `creator_gap`: as `in_order`, with videos of one creator apart.

It picks the same videos for the same blocks. In a random block it changes the order of the new
ones: the next video is by the creator who was shown longest ago in this loop, of several the first
in the block's order. A creator who has more than half of the videos that are left comes as soon as
another creator was shown: two videos of one creator follow each other only where no order of the
block avoids it. A newest block keeps its order, which is what it asks for; so do videos that
come round again, because the least recently played come first.

The choice of each place depends only on what precedes it and on what is left: planned again in the
middle of a loop, the rest of the loop stays the same.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final
from uuid import UUID

from sorafeed_assets.domain.playlists.playlist import Block, FetchMode
from sorafeed_assets.domain.timelines.plan import Candidates, LoopInputs, Pick, PlanResult
from sorafeed_assets.domain.timelines.planners.filling import fill_loop


@dataclass(frozen=True, slots=True)
class CreatorGap:
    """Videos of one creator apart, as far as the order within random blocks allows."""

    name: str = "creator_gap"
    needs_creators: bool = True

    def plan_loop(
        self,
        blocks: Sequence[Block],
        candidates: Mapping[UUID, Candidates],
        plays: Mapping[str, int],
        loop: int,
        kept: Sequence[Pick] = (),
        creators: Mapping[str, str] | None = None,
    ) -> PlanResult:
        """Fill a loop, see `Planner.plan_loop`; a post without a creator is one of its own."""
        known = creators or {}
        result = fill_loop(blocks, candidates, plays, loop, kept, partial(_arrange, known))
        posts = sorted({pick.post_id for pick in result.plan.picks} & known.keys())
        inputs = result.inputs
        used = LoopInputs(
            inputs.loop,
            inputs.kept,
            inputs.candidates,
            inputs.plays,
            {post: known[post] for post in posts},
        )
        return PlanResult(result.plan, result.wanting, used)


CREATOR_GAP: Final = CreatorGap()


def _arrange(
    creators: Mapping[str, str], block: Block, posts: Sequence[str], before: Sequence[str]
) -> Sequence[str]:
    if block.fetch_mode is not FetchMode.RANDOM:
        return posts
    last = {_creator(creators, post): place for place, post in enumerate(before)}
    waiting: dict[tuple[str, bool], deque[str]] = {}
    for post in posts:
        waiting.setdefault(_creator(creators, post), deque()).append(post)
    order = {post: place for place, post in enumerate(posts)}
    shown = _creator(creators, before[-1]) if before else None
    arranged: list[str] = []
    while waiting:
        left = len(posts) - len(arranged)
        others = waiting.keys() - {shown} or waiting.keys()
        creator = next(
            (each for each in others if 2 * len(waiting[each]) > left),
            None,
        ) or min(others, key=lambda each: (last.get(each, -1), order[waiting[each][0]]))
        arranged.append(waiting[creator].popleft())
        if not waiting[creator]:
            del waiting[creator]
        last[creator] = len(before) + len(arranged) - 1
        shown = creator
    return arranged


def _creator(creators: Mapping[str, str], post: str) -> tuple[str, bool]:
    """The creator of a post, or the post itself, told apart from creators of the same id."""
    creator = creators.get(post)
    return (post, False) if creator is None else (creator, True)
