"""The next loop is planned in advance: a play that ends a loop does not plan or search."""

from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Engine

from sorafeed_assets.services.settle import Settler
from sorafeed_assets.services.timelines import candidate_book
from sorafeed_assets.services.timelines.checks import check_plans, check_queues
from sorafeed_assets.services.timelines.known_pools import KnownPools
from sorafeed_assets.services.timelines.plan_ends import PlanEnds
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets.settings import Settings
from sorafeed_assets_tests.catalogue import queue_of, run
from sorafeed_assets_tests.wall import add_display, add_playlist, add_posts

WINDOW, VIDEOS = 3, 25


@pytest.fixture
def settler(engine: Engine, redis: Redis, settings: Settings) -> Settler:
    return Settler.of(engine, redis, settings.model_copy(update={"window": WINDOW}))


@pytest.fixture
def wall(engine: Engine, settler: Settler) -> Settler:
    """A display with a loop of 25 videos; its term is not counted, so planning searches."""
    add_posts(engine, "cat video", 60)
    add_display(engine, "AAAAA1")
    add_playlist(engine, "AAAAA1", [("cat video", VIDEOS)], mode="random")
    settler.settle(["AAAAA1"])
    return settler


def _loops(engine: Engine) -> list[list[str]]:
    ((plan,),) = run(
        engine,
        "SELECT b.plan FROM displays d JOIN timeline_builds b ON b.id = d.active_build_id"
        " WHERE d.id = 'AAAAA1'",
    )
    return [[pick["video_id"] for pick in loop["picks"]] for loop in plan["loops"]]


def _play(engine: Engine, service: TimelineService, times: int) -> list[str]:
    played = []
    for _ in range(times):
        head = queue_of(engine, "AAAAA1")[0]
        service.playback.begin("AAAAA1", head.id, lambda *_: None)
        answer = service.playback.advance("AAAAA1", head.id)
        assert answer.queued == WINDOW
        played.append(answer.video_id)
    return played


def test_no_play_waits_for_a_search(
    engine: Engine, wall: Settler, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = TimelineService(engine, window=WINDOW)
    ends = PlanEnds(engine, window=WINDOW)
    assert ends.ending() == {}
    played = _play(engine, service, VIDEOS - ends.least + 1)
    # What remains is more than the window.
    assert list(ends.ending()) == ["AAAAA1"]
    assert len(_loops(engine)) == 1
    playing = queue_of(engine, "AAAAA1")
    assert wall.plan_ahead(["AAAAA1"], ends.reach).changed == ["AAAAA1"]
    assert [row.id for row in queue_of(engine, "AAAAA1")] == [row.id for row in playing]
    assert ends.ending() == {}
    planned = [video for loop in _loops(engine) for video in loop]
    assert len(planned) == 2 * VIDEOS
    assert len(set(planned)) == 2 * VIDEOS

    def search(*_: Any) -> None:
        raise AssertionError("a play searched")

    monkeypatch.setattr(candidate_book, "read_pages", search)
    monkeypatch.setattr(KnownPools, "read", search)
    played += _play(engine, service, 2 * VIDEOS - ends.least + 1 - len(played))
    assert played == planned[: len(played)]
    monkeypatch.undo()
    assert list(ends.ending()) == ["AAAAA1"]
    assert check_queues(engine, ["AAAAA1"], WINDOW) == {}
    assert check_plans(engine, ["AAAAA1"]) == {}


def test_a_loop_planned_ahead_stays_when_the_display_is_settled_again(
    engine: Engine, wall: Settler
) -> None:
    assert wall.plan_ahead(["AAAAA1"], VIDEOS).changed == []
    wall.plan_ahead(["AAAAA1"], VIDEOS + 1)
    before = _loops(engine)
    assert len(before) == 2
    assert wall.settle(["AAAAA1"]).changed == []
    run(engine, "UPDATE playlist_blocks SET video_count = video_count + 1")
    assert wall.settle(["AAAAA1"]).changed == ["AAAAA1"]
    assert [len(loop) for loop in _loops(engine)] == [VIDEOS + 1]
    add_playlist(engine, "AAAAA1", [("cat video", VIDEOS)])
    wall.settle(["AAAAA1"])
    assert len(_loops(engine)) == 1


def test_a_plan_without_picks_does_not_end(engine: Engine, settler: Settler) -> None:
    add_display(engine, "AAAAA1")
    add_playlist(engine, "AAAAA1", [("nothing of the kind", 5)])
    settler.settle(["AAAAA1"])
    assert PlanEnds(engine, window=WINDOW).ending() == {}
