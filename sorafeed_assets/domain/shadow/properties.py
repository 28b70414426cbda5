"""Comparing the blocks of random videos by their properties, against two runs of the old way."""

from collections.abc import Sequence
from dataclasses import dataclass

from sorafeed_assets.domain.shadow.outcome import Reason, Rule


@dataclass(frozen=True, slots=True)
class Properties:
    """The properties of one side's picks of a block.

    Attributes:
        videos: how many positions it fills.
        new: how many of them were neither played before nor used in the loop.
        repeats: how many are in the loop a second time.
        replays: how many were played before.
        wrong: how many match only in the other side's eyes: search, format or size.
    """

    videos: int
    new: int
    repeats: int
    replays: int
    wrong: int


@dataclass(frozen=True, slots=True)
class RandomBlock:
    """A block of random videos.

    Attributes:
        name: the block in words.
        wanted: how many videos it asks for.
        ours: our picks.
        runs: the old way's, run with different seeds; they span its noise.
        explained: rule → how many of the old runs' new picks we cannot have by it, at most.
    """

    name: str
    wanted: int
    ours: Properties
    runs: Sequence[Properties]
    explained: Sequence[tuple[Rule, int]] = ()


def compare_random(block: RandomBlock) -> list[Reason]:
    """The differences of a block that are outside the noise of the old way."""
    ours, runs = block.ours, block.runs
    reasons: list[Reason] = []
    if ours.wrong:
        text = f"{block.name}: {ours.wrong} videos here do not match"
        reasons.append(Reason(None, text))
    fewest_new, most_new = min(run.new for run in runs), max(run.new for run in runs)
    if ours.new < fewest_new:
        reasons.append(_fewer(block, fewest_new))
    elif ours.new > most_new:
        text = f"{block.name}: {ours.new} new videos here, at most {most_new} there"
        reasons.append(Reason(_why_fewer_there(runs), text))
    videos = [run.videos for run in runs]
    if ours.videos < min(videos) and ours.new >= fewest_new:
        text = f"{block.name}: {ours.videos} videos here, at least {min(videos)} there"
        reasons.append(Reason(block.explained[0][0] if block.explained else None, text))
    if ours.repeats > max(run.repeats for run in runs) and ours.videos <= max(videos):
        # With equally many new videos, a repeat here is a replay there, whose history is cleared.
        rule = Rule.HISTORY_CLEARED if ours.new >= fewest_new else None
        reasons.append(Reason(rule, f"{block.name}: {ours.repeats} repeats here, fewer there"))
    return reasons


def _fewer(block: RandomBlock, there: int) -> Reason:
    text = f"{block.name}: {block.ours.new} new videos here, at least {there} there"
    missing = there - block.ours.new
    for rule, most in block.explained:
        if most >= missing:
            return Reason(rule, text)
    return Reason(None, text)


def _why_fewer_there(runs: Sequence[Properties]) -> Rule:
    if any(run.repeats or run.replays for run in runs):
        return Rule.AVOIDABLE_REPEATS
    return Rule.TRIES_FAILED
