"""Judging old queues, active playlists and plays: each rule by a case of its own."""

import pytest

from sorafeed_assets.domain.shadow.outcome import Outcome, Rule, conclude
from sorafeed_assets.domain.shadow.walls import (
    PlaysScore,
    QueuedRow,
    activation_reason,
    plays_reasons,
    queue_reasons,
    score_queue,
)


def _queue(videos: int, copies: int = 1, loops: int = 1) -> list[QueuedRow]:
    return [
        QueuedRow(position, loop, f"p{position}", None)
        for _ in range(copies)
        for loop in range(loops)
        for position in range(videos)
    ]


@pytest.mark.parametrize(
    ("rows", "belong", "rule"),
    [
        (_queue(52), 52, None),
        ([], 0, None),
        (_queue(3), 52, None),
        (_queue(52, copies=8), 52, Rule.QUEUE_HELD_TWICE),
        (_queue(5), 3, Rule.QUEUE_HELD_TWICE),
        (_queue(3, loops=2), 52, Rule.AVOIDABLE_REPEATS),
    ],
)
def test_queues(rows: list[QueuedRow], belong: int, rule: Rule | None) -> None:
    reasons = queue_reasons(score_queue(rows, belong))
    assert [reason.rule for reason in reasons] == ([] if rule is None else [rule])


def test_a_queue_is_scored() -> None:
    score = score_queue(_queue(52, copies=8), 52)
    assert (score.rows, score.belong, score.copies, score.repeats) == (416, 52, 8, 364)


def test_active_playlists() -> None:
    assert activation_reason("a", "a", changed=False) is None
    none_there = activation_reason(None, "a", changed=False)
    assert none_there is not None
    assert none_there.rule is Rule.NOT_ACTIVATED
    for old, ours, changed in ((None, "a", True), ("a", None, False), ("a", "b", False)):
        other = activation_reason(old, ours, changed=changed)
        assert other is not None
        assert other.rule is None


def test_plays() -> None:
    assert plays_reasons(PlaysScore(10, 10, 500), 0, 0) == []
    assert plays_reasons(PlaysScore(10, 3, 3), 0, 0) == []
    assert plays_reasons(PlaysScore(10, 3, None), 0, 0) == []
    repeats = plays_reasons(PlaysScore(1_861, 1_161, 50_000), 0, 0)
    assert [reason.rule for reason in repeats] == [Rule.AVOIDABLE_REPEATS]
    assert repeats[0].text == "700 of 1861 plays are repeats, though 50,000 match"
    gone = plays_reasons(PlaysScore(0, 0, None), 0, 4)
    assert [reason.rule for reason in gone] == [Rule.HISTORY_DELETED]
    missing = conclude(plays_reasons(PlaysScore(4, 4, None), 2, 0))
    assert missing.outcome is Outcome.UNEXPLAINED
    assert missing.detail == "2 plays there are missing here"


def test_repeats_per_hundred() -> None:
    assert PlaysScore(1_861, 1_161, None).repeats_per_hundred == pytest.approx(37.6, abs=0.1)
    assert PlaysScore(0, 0, None).repeats_per_hundred == 0
