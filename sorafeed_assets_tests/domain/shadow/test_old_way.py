"""The model of the old way: what it is known to do, on a catalogue in memory."""

from typing import Final

import pytest

from sorafeed_assets.domain.playlists.playlist import FetchMode
from sorafeed_assets.domain.shadow.old_way import OldRun, OldTimeline, Stage
from sorafeed_assets.domain.shadow.outcome import MEANINGS, Rule
from sorafeed_assets_tests.domain.shadow.catalogue import Catalogue, chance, post
from sorafeed_assets_tests.domain.shadow.test_timelines import block, catalogue

TEN: Final = catalogue(*(post(f"p{n}", at=1_000 + n) for n in range(10)))


def _fill(
    found: Catalogue, *blocks: tuple[str, int, FetchMode], played: tuple[str, ...] = ()
) -> OldRun:
    lines = [block(n, *each) for n, each in enumerate(blocks)]
    return OldTimeline(found, played, chance(1)).fill(lines)


def test_newest_without_what_was_played_or_queued() -> None:
    run = _fill(TEN, ("tea", 2, FetchMode.NEWEST), ("tea", 2, FetchMode.NEWEST), played=("p8",))
    assert [pick.post_id for pick in run.picks] == ["p9", "p7", "p6", "p5"]
    assert {pick.stage for pick in run.picks} == {Stage.FIRST}
    assert run.after_clearing == frozenset()


def test_too_few_ask_without_exclusions_clear_the_history_and_repeat() -> None:
    few = catalogue(post("a", "tea", 10), post("b", "tea", 11), post("c", "tea milk", 12))
    run = _fill(
        few,
        ("tea -milk", 5, FetchMode.NEWEST),
        ("tea -milk", 1, FetchMode.NEWEST),
        played=("a",),
    )
    assert [(pick.post_id, pick.stage) for pick in run.picks[:5]] == [
        ("b", Stage.FIRST),
        ("c", Stage.NO_EXCLUSIONS),
        ("a", Stage.CLEARED),
        ("b", Stage.REPEATED),
        ("c", Stage.REPEATED),
    ]
    assert run.after_clearing == {block(1, "x", 1).id}


@pytest.mark.parametrize("seed", range(20))
def test_random_videos_are_matches_and_may_be_too_few(seed: int) -> None:
    lines = [block(0, "tea", 6, FetchMode.RANDOM)]
    run = OldTimeline(TEN, (), chance(seed)).fill(lines)
    first = [pick.post_id for pick in run.picks if pick.stage is Stage.FIRST]
    assert len(first) == len(set(first)) <= 6
    assert {pick.post_id for pick in run.picks} <= TEN.posts.keys()
    assert len(run.picks) == 6


def test_nothing_that_matches_leaves_the_block_out() -> None:
    assert _fill(TEN, ("cat", 3, FetchMode.RANDOM), ("cat", 3, FetchMode.NEWEST)).picks == ()


def test_every_rule_says_what_it_is() -> None:
    assert set(MEANINGS) == set(Rule)
