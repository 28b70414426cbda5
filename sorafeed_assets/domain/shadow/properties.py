"""Comparing the blocks of random videos by their properties, against two runs of the old way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sorafeed_assets.domain.shadow.outcome import Reason, Rule


@dataclass(frozen=True, slots=True)
class Properties:
    """The properties of one side's picks of a block.

    Attributes:
        videos: how many positions it fills.
        new: how many of them were neither played before nor used in the loop.
        repeats: how many are in the loop a second time.
        replays: how many were played before.
        wrong: how many do not match the search or the format here.
        refused: rule → how many of the new ones the other side cannot pick by it.
        open: how many of all videos the other side can play.
    """

    videos: int
    new: int
    repeats: int
    replays: int
    wrong: int
    refused: Mapping[Rule, int] = field(default_factory=dict)
    open: int = 0

    @property
    def least(self) -> int:
        """How many new videos the other side has at least."""
        return self.new - sum(self.refused.values())


@dataclass(frozen=True, slots=True)
class RandomBlock:
    """A block of random videos.

    Attributes:
        name: the block in words.
        wanted: how many videos it asks for.
        ours: our picks, which the plan audit has passed.
        runs: the old way's, run with different seeds; they span its noise.
    """

    name: str
    wanted: int
    ours: Properties
    runs: Sequence[Properties]


def compare_random(block: RandomBlock) -> list[Reason]:
    """The differences of a block that are outside the noise of the old way."""
    ours, runs = block.ours, block.runs
    reasons: list[Reason] = []
    if ours.wrong:
        reasons.append(Reason(None, f"{block.name}: {ours.wrong} videos here do not match"))
    fewest, most = min(run.new for run in runs), max(run.new for run in runs)
    text = f"{block.name}: {ours.new} new videos here, {fewest} to {most} there"
    if ours.new < min(run.least for run in runs):
        reasons.append(Reason(None, text))
    elif ours.new < fewest:
        rules = {rule for run in runs for rule in run.refused}
        reasons += [Reason(rule, text) for rule in sorted(rules)]
    elif ours.new > most:
        comes_again = any(run.repeats or run.replays for run in runs)
        rule = Rule.AVOIDABLE_REPEATS if comes_again else Rule.TRIES_FAILED
        reasons.append(Reason(rule, text))
    if ours.videos < block.wanted and any(run.open for run in runs):
        text = f"{block.name}: {ours.videos} of {block.wanted} videos here, though some match"
        reasons.append(Reason(None, text))
    return reasons
