"""The checks pass on the service's writes, and find every planted fault."""

import pytest
from sqlalchemy import Engine

from sorafeed_assets.services.timelines.checks import check_plans, check_queues, check_replans
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets_tests.catalogue import add_display, add_playlist, add_posts, run

D = "AAAAAA"
PLAY_TWICE = """
UPDATE timeline_builds SET plan = jsonb_set(plan, '{loops,0,picks,1,video_id}', '"cats-0002"')
"""


@pytest.fixture
def queued(engine: Engine) -> Engine:
    """A display with four cats and two wide dogs planned; the catalogue has three cats."""
    add_posts(engine, "cats", 3)
    add_posts(engine, "dogs", 6)
    add_display(engine, D)
    add_playlist(engine, D, [("cats", 4), ("dogs", 2, "random", "wide")])
    TimelineService(engine).repopulate([D])
    assert check_queues(engine, [D], 5) == {}
    assert check_plans(engine, [D]) == {}
    assert check_replans(engine, [D]) == {}
    return engine


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        ("UPDATE timeline_videos SET timeline_position = 9 WHERE timeline_position = 2", "belongs"),
        ("UPDATE timeline_videos SET video_id = 'x' WHERE timeline_position = 2", "the plan says"),
        ("DELETE FROM timeline_videos WHERE timeline_position = 4", "4 videos are queued"),
        ("DELETE FROM timeline_videos WHERE timeline_position = 0", "head of the queue"),
        (
            "UPDATE timeline_videos SET status = 'playing' WHERE timeline_position = 2",
            "not the head",
        ),
        ("UPDATE displays SET loop_iteration = 7", "the plan ends before it"),
        ("UPDATE displays SET timeline_position = 1", "belongs"),
    ],
)
def test_faults_of_a_queue(queued: Engine, fault: str, problem: str) -> None:
    run(queued, fault)
    (problems,) = check_queues(queued, [D], 5).values()
    assert any(problem in found for found in problems), problems


def test_a_queue_over_the_window(queued: Engine) -> None:
    assert check_queues(queued, [D], 4) == {D: ["5 videos are queued, the window is 4"]}


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (
            PLAY_TWICE,
            "was played or planned",
        ),
        ("UPDATE timeline_builds SET plan = plan #- '{loops,0,picks,5}'", "which wants 2"),
        ("UPDATE sora_posts SET width = 100 WHERE id LIKE 'dogs%'", "is not wide"),
    ],
)
def test_faults_of_a_plan(queued: Engine, fault: str, problem: str) -> None:
    run(queued, fault)
    (problems,) = check_plans(queued, [D]).values()
    assert problem in problems[0]


def test_a_plan_that_its_inputs_do_not_give(queued: Engine) -> None:
    run(queued, "UPDATE timeline_builds SET content_hash = 'something else'")
    (problems,) = check_replans(queued, [D]).values()
    assert "something else" in problems[0]
