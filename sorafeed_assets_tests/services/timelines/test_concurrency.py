"""Concurrent writers, and writers that are killed, leave one consistent timeline."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from psycopg import Cursor
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from sorafeed_assets.domain.errors import NotFoundError
from sorafeed_assets.services.timelines.checks import check_plans, check_queues, check_replans
from sorafeed_assets.services.timelines.queues import stale_displays
from sorafeed_assets.services.timelines.rebuild import BuildOutcome
from sorafeed_assets.services.timelines.service import TimelineService
from sorafeed_assets_tests.catalogue import add_display, add_playlist, add_posts, queue_of, run
from sorafeed_assets_tests.statements import before_each

D = "AAAAAA"
OTHERS = [f"OTHER{number}" for number in range(4)]


@pytest.fixture
def service(engine: Engine) -> TimelineService:
    add_posts(engine, "cats", 30)
    for display_id in (D, *OTHERS):
        add_display(engine, display_id)
        add_playlist(engine, display_id, [("cats", 3, "random"), ("cats", 4)])
    service = TimelineService(engine)
    service.repopulate([D, *OTHERS])
    return service


def together(*works: Callable[[], object]) -> None:
    with ThreadPoolExecutor(len(works)) as pool:
        for done in [pool.submit(work) for work in works]:
            done.result()


def assert_consistent(engine: Engine) -> None:
    everyone = [D, *OTHERS]
    assert check_queues(engine, everyone, 5) == {}
    assert check_plans(engine, everyone) == {}
    assert check_replans(engine, everyone) == {}


def test_edits_repopulates_and_plays_at_once(service: TimelineService, engine: Engine) -> None:
    def edit() -> None:
        for count in range(1, 11):
            run(
                engine,
                "UPDATE playlist_blocks SET video_count = :count WHERE fetch_mode = 'newest'",
                count=count,
            )
            service.repopulate([D, *OTHERS])

    def repopulate() -> None:
        for _ in range(10):
            service.repopulate([*reversed(OTHERS), D])

    played: list[object] = []

    def play() -> None:
        for _ in range(20):
            head = queue_of(engine, D)[0].id
            try:
                service.playback.advance(D, head)
            except NotFoundError:
                # An edit removed the row between reading the queue and playing it.
                continue
            played.append(head)

    together(edit, repopulate, play, play)
    assert_consistent(engine)
    assert stale_displays(engine) == {}
    # Both players may report the same row, which is one play.
    assert len(run(engine, "SELECT FROM video_history")) == len(set(played)) > 0


def test_one_row_advanced_by_many_is_one_play(service: TimelineService, engine: Engine) -> None:
    head = queue_of(engine, D)[0].id
    together(*[lambda: service.playback.advance(D, head)] * 6)
    assert len(run(engine, "SELECT FROM video_history")) == 1
    assert queue_of(engine, D)[0].timeline_position == 1


def test_deleting_playlists_while_they_are_planned_and_played(
    service: TimelineService, engine: Engine
) -> None:
    def recreate() -> None:
        for _ in range(8):
            run(engine, "DELETE FROM playlists WHERE display_id = :id", id=D)
            add_playlist(engine, D, [("cats", 2)])

    def repopulate() -> None:
        for _ in range(12):
            service.repopulate([D])

    def play() -> None:
        for _ in range(12):
            for row in queue_of(engine, D)[:1]:
                try:
                    service.playback.advance(D, row.id)
                except NotFoundError:
                    continue

    together(recreate, repopulate, play)
    service.repopulate([D])
    assert_consistent(engine)


@pytest.mark.parametrize("at", ["INSERT INTO timeline_builds", "DELETE FROM timeline_videos"])
def test_a_writer_that_is_killed_leaves_the_old_queue(
    service: TimelineService, engine: Engine, at: str
) -> None:
    before = queue_of(engine, D)
    run(engine, "UPDATE playlist_blocks SET search_term = 'a video', video_count = 2")

    def kill(cursor: Cursor[Any], statement: str, _parameters: object) -> None:
        if at in statement:
            pid = cursor.connection.info.backend_pid
            run(engine, "SELECT pg_terminate_backend(:pid)", pid=pid)

    with before_each(engine, kill), pytest.raises(OperationalError):
        service.repopulate([D])
    assert queue_of(engine, D) == before
    assert_consistent(engine)
    outcome = service.repopulate([D])[D]
    assert isinstance(outcome, BuildOutcome)
    assert outcome.changed
    assert_consistent(engine)


def test_a_post_deleted_while_it_is_queued_is_planned_around(
    service: TimelineService, engine: Engine
) -> None:
    """The delete happens between the verification of the picks and the insert."""
    add_playlist(engine, D, [("cats", 3)])
    gone: list[str] = []

    def delete(_cursor: object, statement: str, _parameters: object) -> None:
        if "INSERT INTO timeline_builds" in statement and not gone:
            gone.append("cats-0028")
            run(engine, "DELETE FROM sora_posts WHERE id = 'cats-0028'")

    with before_each(engine, delete):
        service.repopulate([D])
    assert [row.video_id for row in queue_of(engine, D)][:3] == [
        "cats-0029",
        "cats-0027",
        "cats-0026",
    ]
    assert_consistent(engine)


def test_a_display_that_is_locked_elsewhere_holds_nobody_else_up(
    service: TimelineService, engine: Engine
) -> None:
    with engine.begin() as other:
        other.execute(text("SELECT FROM displays WHERE id = :id FOR UPDATE"), {"id": D})
        outcomes = service.repopulate(OTHERS)
    assert all(isinstance(outcome, BuildOutcome) for outcome in outcomes.values())
