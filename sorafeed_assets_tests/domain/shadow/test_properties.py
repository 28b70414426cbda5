"""Random blocks: what is noise, what a rule explains, and what nothing explains."""

from typing import Final

import pytest

from sorafeed_assets.domain.shadow.outcome import Rule
from sorafeed_assets.domain.shadow.properties import Properties, RandomBlock, compare_random

FIVE: Final = Properties(5, 5, 0, 0, 0, open=5)


def _rules(ours: Properties, *runs: Properties) -> list[Rule | None]:
    return [reason.rule for reason in compare_random(RandomBlock("block 1", 5, ours, runs))]


def test_the_noise_of_the_old_way_is_no_difference() -> None:
    fewer = Properties(5, 3, 2, 0, 0, open=5)
    assert _rules(FIVE, FIVE, FIVE) == []
    assert _rules(Properties(5, 4, 1, 0, 0), FIVE, fewer) == []
    assert _rules(FIVE, FIVE, fewer) == []


@pytest.mark.parametrize(
    ("old", "rule"),
    [
        (Properties(3, 3, 0, 0, 0, open=3), Rule.TRIES_FAILED),
        (Properties(5, 3, 2, 0, 0, open=5), Rule.AVOIDABLE_REPEATS),
        (Properties(5, 3, 0, 2, 0, open=5), Rule.AVOIDABLE_REPEATS),
    ],
)
def test_more_new_videos_here(old: Properties, rule: Rule) -> None:
    assert _rules(FIVE, old, old) == [rule]


@pytest.mark.parametrize(
    "rule", [Rule.USED_EARLIER, Rule.WILDCARD, Rule.EXCLUSIONS_DROPPED, Rule.LETTER_CASE]
)
def test_fewer_new_videos_here_that_a_rule_explains(rule: Rule) -> None:
    ours = Properties(5, 3, 2, 0, 0)
    explained = Properties(5, 5, 0, 0, 0, {rule: 2}, open=5)
    assert _rules(ours, explained, explained) == [rule]
    too_few = Properties(5, 5, 0, 0, 0, {rule: 1}, open=5)
    assert _rules(ours, too_few, too_few) == [None]
    # One run without it may have been luck: the least of both counts.
    assert _rules(ours, explained, too_few) == [rule]


def test_what_nothing_explains() -> None:
    assert _rules(Properties(5, 3, 2, 0, 0), FIVE, FIVE) == [None]
    assert _rules(Properties(5, 5, 0, 0, 1), FIVE, FIVE) == [None]
    short = Properties(2, 2, 0, 0, 0)
    assert _rules(short, Properties(2, 2, 0, 0, 0, open=2), FIVE) == [None]


def test_a_block_that_only_the_old_way_can_fill() -> None:
    refused = Properties(2, 2, 0, 0, 2, {Rule.WILDCARD: 2}, open=0)
    assert _rules(Properties(0, 0, 0, 0, 0), refused, refused) == [Rule.WILDCARD]
