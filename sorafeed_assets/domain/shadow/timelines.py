"""Comparing one loop of a display: our plan, and the old way's runs, block by block.

Blocks of newest videos are compared in their order, those of random ones by their properties.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any
from uuid import UUID

from sorafeed_assets.domain.catalog.search import Format, matches, size_class
from sorafeed_assets.domain.playlists.playlist import Block, FetchMode
from sorafeed_assets.domain.shadow.audits import audit_old
from sorafeed_assets.domain.shadow.newest import NewestBlock, compare_newest
from sorafeed_assets.domain.shadow.old_way import OldPick, OldRun, Stage
from sorafeed_assets.domain.shadow.outcome import Reason, Rule
from sorafeed_assets.domain.shadow.posts import Post, Row, exclusion_dropped, why_counted_once
from sorafeed_assets.domain.shadow.properties import Properties, RandomBlock, compare_random
from sorafeed_assets.domain.timelines.plan import LoopInputs, Pick, Tier


@dataclass(frozen=True, slots=True)
class Sides:
    """What both sides play of one loop.

    Attributes:
        ours: our picks.
        runs: the old way's, one for each seed.
        inputs: what our plan was made from.
        played: every video that was played before.
        posts: the posts of all picks, by id.
    """

    ours: Sequence[Pick]
    runs: Sequence[OldRun]
    inputs: LoopInputs
    played: Collection[str]
    posts: Mapping[str, Post]


def compare_blocks(sides: Sides, blocks: Sequence[Block]) -> list[Reason]:
    """The differences of a loop."""
    return [reason for block in blocks for reason in _block(sides, block)]


def _block(sides: Sides, block: Block) -> list[Reason]:
    name = f"block {block.block_order + 1} ({block.search_term})"
    compare = _newest if block.fetch_mode is FetchMode.NEWEST else _random
    return [*_missing(sides, block, name), *compare(sides, block, name)]


def _missing(sides: Sides, block: Block, name: str) -> list[Reason]:
    """What the old way plays, and is not here as it is there: no rule excuses that."""
    played = {pick.post_id for run in sides.runs for pick in _of(run.picks, block.id)}
    found = [sides.posts[post] for post in sorted(played)]
    return [
        Reason(None, f"{name}: {post.id} {'is missing' if post.here is None else 'differs'} here")
        for post in found
        if post.there is not None and (post.here is None or post.here.text != post.there.text)
    ]


def _newest(sides: Sides, block: Block, name: str) -> list[Reason]:
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


def _random(sides: Sides, block: Block, name: str) -> list[Reason]:
    used_here = _used_before(sides.ours, block.id)
    ours = [pick.post_id for pick in sides.ours if pick.block_id == block.id]
    runs = [
        _properties(
            sides,
            block,
            [pick.post_id for pick in _of(run.picks, block.id)],
            _used_before(run.picks, block.id),
            used_here,
        )
        for run in sides.runs
    ]
    mine = _properties(sides, block, ours, used_here, ())
    reasons = compare_random(RandomBlock(name, block.video_count, mine, runs))
    dropped = sum(run.refused.get(Rule.EXCLUSIONS_DROPPED, 0) for run in runs)
    if dropped:
        text = f"{name}: {dropped} videos there have an excluded word"
        reasons.append(Reason(Rule.EXCLUSIONS_DROPPED, text))
    return reasons


def _properties(
    sides: Sides,
    block: Block,
    ids: Sequence[str],
    used: Collection[str],
    used_by_other: Collection[str],
) -> Properties:
    seen = set(used)
    new = repeats = replays = wrong = can_play = 0
    refused: dict[Rule, int] = {}
    for post_id in ids:
        post = sides.posts[post_id]
        rule = why_counted_once(block.query, post)
        if rule is None and exclusion_dropped(block.query, post):
            rule = Rule.EXCLUSIONS_DROPPED
        can_play += rule is None
        if post_id in seen:
            repeats += 1
        elif post_id in sides.played:
            replays += 1
        else:
            new += 1
            rule = Rule.USED_EARLIER if rule is None and post_id in used_by_other else rule
            if rule is not None:
                refused[rule] = refused.get(rule, 0) + 1
        seen.add(post_id)
        wrong += post.here is None or not _plays(block, post.here)
    return Properties(len(ids), new, repeats, replays, wrong, refused, can_play)


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


def figures_of(sides: Sides, blocks: Sequence[Block]) -> dict[str, Any]:
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
